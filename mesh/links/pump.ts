// When queued messages leave: in the microtask after publish(), so that one burst is one pack. A link
// that sent a moment ago waits for the end of this turn of the event loop instead, unless a pack gets
// full: under load the packs grow by themselves, and an idle link never waits.
import type { Clock } from '../clock.ts'
import type { Link } from './link.ts'
import type { Outgoing } from './wire.ts'
import { PACK_BYTES_MAX } from './wire.ts'

/**
 * A pack this soon after the last one waits for the end of the turn. About what a pack costs both
 * sides together, so that packing pays; waiting for the end of every turn after a pack, without a
 * clock, cost an idle link some 10 µs (the event loop has to go round once more).
 */
const GATHER_MS = 0.1

interface FlushWaiter {
  readonly marks: Map<Link, number>
  readonly resolve: () => void
}

export class LinkPump {
  private readonly clock: Clock
  private readonly afterTurn: ((callback: () => void) => void) | undefined
  /** Links with something queued. */
  private readonly busyLinks = new Set<Link>()
  /** To be pumped in the next microtask, and at the end of the turn. */
  private soon: Link[] = []
  private later: Link[] = []
  private flushWaiters: FlushWaiter[] = []

  /** `afterTurn` calls back when this turn of the event loop ends; without it nothing waits for that. */
  constructor(clock: Clock, afterTurn: ((callback: () => void) => void) | undefined) {
    this.clock = clock
    this.afterTurn = afterTurn
  }

  /** Queues; false when the caller should slow down, or when the message had to be dropped. */
  push(link: Link, message: Outgoing): boolean {
    const hasRoom = link.sender.push(message)
    this.busyLinks.add(link)
    // A full pack gains nothing by waiting for the end of the turn.
    if (link.sender.queuedBytes >= PACK_BYTES_MAX && link.sender.isReady) this.pump(link)
    else this.schedule(link)
    return hasRoom
  }

  schedule(link: Link): void {
    if (link.isScheduled) return
    link.isScheduled = true
    const { afterTurn } = this
    if (afterTurn !== undefined && this.clock.monotonicMs() - link.pumpedMs < GATHER_MS) {
      this.later.push(link)
      if (this.later.length === 1) afterTurn(() => this.runLater())
    } else {
      this.soon.push(link)
      if (this.soon.length === 1) queueMicrotask(() => this.runSoon())
    }
  }

  /** The link sends no more. */
  forget(link: Link): void {
    this.busyLinks.delete(link)
    this.checkFlushes()
  }

  queuedBytes(): number {
    let sum = 0
    for (const link of this.busyLinks) sum += link.sender.queuedBytes
    return sum
  }

  /** Resolves when what is queued now has left, was dropped, or is live on a stalled link. */
  flush(): Promise<void> {
    this.runSoon()
    const marks = new Map<Link, number>()
    for (const link of this.busyLinks) marks.set(link, link.sender.mark())
    if (isFlushed(marks)) return Promise.resolve()
    return new Promise((resolve) => {
      this.flushWaiters.push({ marks, resolve })
    })
  }

  /** Called now and then: links stall by the passing of time. */
  checkFlushes(): void {
    if (this.flushWaiters.length === 0) return
    const waiting: FlushWaiter[] = []
    for (const waiter of this.flushWaiters) {
      if (isFlushed(waiter.marks)) waiter.resolve()
      else waiting.push(waiter)
    }
    this.flushWaiters = waiting
  }

  /** Nothing will be sent any more. */
  stop(): void {
    for (const waiter of this.flushWaiters) waiter.resolve()
    this.flushWaiters = []
  }

  private runSoon(): void {
    const links = this.soon
    this.soon = []
    this.pumpAll(links)
  }

  private runLater(): void {
    const links = this.later
    this.later = []
    this.pumpAll(links)
  }

  private pumpAll(links: readonly Link[]): void {
    for (const link of links) {
      link.isScheduled = false
      this.pump(link)
    }
  }

  private pump(link: Link): void {
    if (!link.isUp) return
    if (link.sender.pump()) link.pumpedMs = this.clock.monotonicMs()
    if (link.sender.queuedMessages === 0) this.busyLinks.delete(link)
    this.checkFlushes()
  }
}

function isFlushed(marks: Map<Link, number>): boolean {
  for (const [link, mark] of marks) {
    if (link.isUp && !link.sender.isFlushed(mark)) return false
    marks.delete(link)
  }
  return true
}
