// When queued messages leave: in the microtask after publish(), so that one burst is one pack. A link
// that has sent in this turn of the event loop is corked until the turn ends, or until a pack is
// full: under load the packs grow by themselves, and an idle link never waits.
import type { Link } from './link.ts'
import type { Outgoing } from './wire.ts'
import { PACK_BYTES_MAX } from './wire.ts'

interface FlushWaiter {
  readonly marks: Map<Link, number>
  readonly resolve: () => void
}

export class LinkPump {
  private readonly afterTurn: ((callback: () => void) => void) | undefined
  /** Links with something queued. */
  private readonly busyLinks = new Set<Link>()
  private scheduled: Link[] = []
  private corked: Link[] = []
  private flushWaiters: FlushWaiter[] = []

  /** `afterTurn` calls back when this turn of the event loop ends; without it nothing is corked. */
  constructor(afterTurn: ((callback: () => void) => void) | undefined) {
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
    if (link.isScheduled || link.isCorked) return
    link.isScheduled = true
    this.scheduled.push(link)
    if (this.scheduled.length === 1) queueMicrotask(() => this.runScheduled())
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
    this.runScheduled()
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

  private runScheduled(): void {
    const links = this.scheduled
    if (links.length === 0) return
    this.scheduled = []
    for (const link of links) {
      link.isScheduled = false
      this.pump(link)
    }
  }

  private pump(link: Link): void {
    if (!link.isUp) return
    const hasSent = link.sender.pump()
    if (link.sender.queuedMessages === 0) this.busyLinks.delete(link)
    if (hasSent && this.afterTurn !== undefined && !link.isCorked) {
      link.isCorked = true
      this.corked.push(link)
      if (this.corked.length === 1) this.afterTurn(() => this.uncork())
    }
    this.checkFlushes()
  }

  private uncork(): void {
    const links = this.corked
    this.corked = []
    for (const link of links) {
      link.isCorked = false
      if (link.sender.isReady) this.pump(link)
    }
  }
}

function isFlushed(marks: Map<Link, number>): boolean {
  for (const [link, mark] of marks) {
    if (link.isUp && !link.sender.isFlushed(mark)) return false
    marks.delete(link)
  }
  return true
}
