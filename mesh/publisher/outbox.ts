// What is accepted and not yet done, in the order it was sealed: bounded, in memory, and on disk too
// where configured. Frames leave it when W stores hold them, or when a full outbox drops them.
import type { OutboxLog } from '../outbox/log.ts'
import { Deque } from './deque.ts'
import type { Entry, EntryState } from './entry.ts'

/** What to do with a sample when the outbox is full (docs/delivery.md §3). */
export const WHEN_FULL = ['refuse', 'drop-oldest', 'drop-newest'] as const
export type WhenFull = (typeof WHEN_FULL)[number]

/**
 * How far dropping may exceed the disk bound until what was dropped is deleted: by a segment of the
 * log (nodes/publishing.ts), which is what goes at once.
 */
const DROPPING_SHARE = 9 / 8

/** Memory of an entry besides its frame, roughly: objects, queue slots. */
const ENTRY_OVERHEAD_BYTES = 300

export interface OutboxLimits {
  /** Frames and open samples kept in memory. With a log, what exceeds it stays on disk only. */
  readonly memoryBytes: number
  /** Size of the log on disk. */
  readonly diskBytes: number
}

interface Waiter {
  readonly upTo: number
  resolve(): void
}

export class Outbox {
  readonly log: OutboxLog | undefined
  private readonly limits: OutboxLimits
  private readonly entries = new Deque<Entry>()
  /** Entries ever taken off the front, and ever added: an entry's place in line is its number. */
  private finishedInOrder = 0
  private added = 0
  private frameBytes = 0
  private frames = 0
  private sealedSamples = 0
  private openBytes = 0
  private openSamples = 0
  private waiters: Waiter[] = []
  private roomWaiters: (() => void)[] = []

  constructor(limits: OutboxLimits, log?: OutboxLog) {
    this.limits = limits
    this.log = log
  }

  /** Accepted samples that are not yet known to be stored. */
  get pendingSamples(): number {
    return this.sealedSamples + this.openSamples
  }

  get pendingFrames(): number {
    return this.frames
  }

  get memoryBytes(): number {
    return this.openBytes + this.frameBytes + this.frames * ENTRY_OVERHEAD_BYTES
  }

  hasRoom(bytes: number): boolean {
    if (this.log !== undefined) return this.log.diskBytes + bytes <= this.limits.diskBytes
    return this.memoryBytes + bytes <= this.limits.memoryBytes
  }

  /**
   * Whether enough has been dropped for `bytes` more. On disk what is dropped goes with the log's next
   * background run: what that will leave is what counts.
   */
  hasDroppedEnough(bytes: number): boolean {
    if (this.log === undefined) return this.hasRoom(bytes)
    return this.log.keptBytes + bytes <= this.limits.diskBytes
  }

  /** Whether `bytes` may be added on the word that as much has been dropped. */
  mayExceed(bytes: number): boolean {
    if (this.log === undefined) return this.hasRoom(bytes)
    return this.log.diskBytes + bytes <= this.limits.diskBytes * DROPPING_SHARE
  }

  /** Resolves when at most half of the outbox is used. */
  async room(): Promise<void> {
    if (this.isHalfEmpty()) return
    await new Promise<void>((resolve) => this.roomWaiters.push(resolve))
  }

  sampleOpened(bytes: number): void {
    this.openBytes += bytes
    this.openSamples += 1
  }

  samplesSealed(count: number, bytes: number): void {
    this.openBytes -= bytes
    this.openSamples -= count
  }

  add(entry: Entry): void {
    this.entries.push(entry)
    this.added += 1
    this.frames += 1
    this.sealedSamples += sampleCount(entry)
    if (entry.bytes === undefined) return
    this.frameBytes += entry.size
    if (entry.position !== undefined && this.memoryBytes > this.limits.memoryBytes)
      this.spill(entry)
  }

  /** The frame's bytes, from memory or from the log. @throws MeshError MESH_OUTBOX_DAMAGED. */
  bytesOf(entry: Entry): Buffer {
    return entry.bytes ?? this.log!.read(entry.position!)
  }

  finish(entry: Entry, state: Exclude<EntryState, 'pending'>): void {
    if (entry.state !== 'pending') return
    entry.state = state
    this.frames -= 1
    this.sealedSamples -= sampleCount(entry)
    if (entry.bytes !== undefined) this.frameBytes -= entry.size
    entry.bytes = undefined
    if (entry.position !== undefined) this.log?.done(entry.position)
    entry.lane.trim()
    this.trim()
    this.checkRoom()
  }

  /** Wakes those who wait for room. To be called now and then: a log shrinks in the background. */
  checkRoom(): void {
    if (this.roomWaiters.length === 0 || !this.isHalfEmpty()) return
    for (const resolve of this.roomWaiters.splice(0)) resolve()
  }

  /** Resolves when every frame sealed so far has been stored or dropped. */
  async drained(): Promise<void> {
    const upTo = this.added
    if (this.finishedInOrder >= upTo) return
    await new Promise<void>((resolve) => this.waiters.push({ upTo, resolve }))
  }

  /** Pending frames, oldest first. */
  *pending(): IterableIterator<Entry> {
    for (const entry of this.entries) if (entry.state === 'pending') yield entry
  }

  /** The oldest data frame of a stream, for drop-oldest. */
  oldest(stream: string): Entry | undefined {
    for (const entry of this.pending()) {
      if (entry.lane.stream === stream && entry.kind === 'data') return entry
    }
    return undefined
  }

  private spill(entry: Entry): void {
    entry.bytes = undefined
    this.frameBytes -= entry.size
  }

  private isHalfEmpty(): boolean {
    if (this.log !== undefined) return this.log.diskBytes <= this.limits.diskBytes / 2
    return this.memoryBytes <= this.limits.memoryBytes / 2
  }

  private trim(): void {
    for (let first = this.entries.first(); first !== undefined; first = this.entries.first()) {
      if (first.state === 'pending') break
      this.entries.shift()
      this.finishedInOrder += 1
    }
    while (this.waiters.length > 0 && this.waiters[0]!.upTo <= this.finishedInOrder) {
      this.waiters.shift()!.resolve()
    }
  }
}

function sampleCount(entry: Entry): number {
  return entry.kind === 'data' ? entry.count : 0
}
