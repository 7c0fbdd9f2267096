// What is accepted and not yet done, in the order it was sealed: bounded, in memory, and on disk too
// where configured. Frames leave it when W stores hold them, or when a full outbox drops them.
import type { OutboxLog } from '../outbox/log.ts'
import type { StoreId } from '../names.ts'
import { Deque } from './deque.ts'
import { FrameSlabs } from './frame-slabs.ts'
import { isFinished, isPending, type Entry, type EntryState } from './entry.ts'

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

/** Entries that are finished may lie among pending ones; beyond so many they are swept out. */
const SWEEP_AT = 1024

interface Waiter {
  readonly upTo: number
  resolve(stores: readonly StoreId[]): void
}

export class Outbox {
  readonly log: OutboxLog | undefined
  /** Where the frames in memory are. */
  readonly slabs = new FrameSlabs()
  private readonly limits: OutboxLimits
  private readonly entries = new Deque<Entry>()
  /** Data frames by stream, for drop-oldest; finished ones are passed over. */
  private readonly byStream = new Map<string, Deque<Entry>>()
  /** Pending frames that stand in line before those around them in `entries`. */
  private readonly renamed = new Set<Entry>()
  private added = 0
  /** The stored frame furthest back in line, and who holds it. */
  private furthest: { number: number; stores: readonly StoreId[] } = { number: 0, stores: [] }
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
    if (this.log !== undefined) {
      // The frames are on disk, what is known of each is not.
      if (this.frames * ENTRY_OVERHEAD_BYTES > this.limits.memoryBytes) return false
      return this.log.diskBytes + bytes <= this.limits.diskBytes
    }
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

  /** `inPlaceOf`: the frame that this one is, under its old name. */
  add(entry: Entry, inPlaceOf?: Entry): void {
    entry.lane.pending.push(entry)
    this.entries.push(entry)
    if (inPlaceOf === undefined) {
      this.added += 1
      entry.number = this.added
    } else {
      entry.number = inPlaceOf.number
      this.renamed.add(entry)
    }
    if (entry.kind === 'data') {
      const { stream } = entry.lane
      let queue = this.byStream.get(stream)
      if (queue === undefined) this.byStream.set(stream, (queue = new Deque()))
      queue.push(entry)
    }
    this.frames += 1
    this.sealedSamples += sampleCount(entry)
    if (entry.bytes === undefined) return
    this.frameBytes += entry.size
    if (entry.position !== undefined && this.memoryBytes > this.limits.memoryBytes) {
      this.spill(entry)
    }
    if (this.slabs.isSparse) this.moveFrames()
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
    if (entry.bytes !== undefined) this.spill(entry)
    if (entry.position !== undefined) this.log?.done(entry.position)
    if (state === 'done' && entry.number > this.furthest.number) {
      this.furthest = { number: entry.number, stores: entry.heldBy }
    }
    this.renamed.delete(entry)
    entry.lane.trim()
    // Also where nothing is ever dropped: else the queue keeps every frame there was.
    this.byStream.get(entry.lane.stream)?.shiftWhile(isFinished)
    this.trim()
    this.checkRoom()
  }

  /** Wakes those who wait for room. To be called now and then: a log shrinks in the background. */
  checkRoom(): void {
    if (this.roomWaiters.length === 0 || !this.isHalfEmpty()) return
    for (const resolve of this.roomWaiters.splice(0)) resolve()
  }

  /** Resolves when every frame sealed so far is stored or dropped, with the stores of the last one stored. */
  async drained(): Promise<readonly StoreId[]> {
    const upTo = this.added
    if (this.isDrained(upTo)) return this.furthest.stores
    return new Promise((resolve) => this.waiters.push({ upTo, resolve }))
  }

  /** Pending frames, oldest first. */
  *pending(): IterableIterator<Entry> {
    for (const entry of this.entries) if (entry.state === 'pending') yield entry
  }

  /** The oldest data frame of a stream, for drop-oldest. */
  oldest(stream: string): Entry | undefined {
    return this.byStream.get(stream)?.first()
  }

  /** Its bytes are no longer in memory. */
  private spill(entry: Entry): void {
    this.slabs.release(entry.bytes!)
    entry.bytes = undefined
    this.frameBytes -= entry.size
  }

  private moveFrames(): void {
    for (const entry of this.pending()) {
      if (entry.bytes !== undefined) entry.bytes = this.slabs.moved(entry.bytes)
    }
  }

  private isHalfEmpty(): boolean {
    if (this.log !== undefined) return this.log.diskBytes <= this.limits.diskBytes / 2
    return this.memoryBytes <= this.limits.memoryBytes / 2
  }

  private isDrained(upTo: number): boolean {
    for (const { number } of this.renamed) if (number <= upTo) return false
    const first = this.entries.first()
    return first === undefined || first.number > upTo
  }

  private trim(): void {
    this.entries.shiftWhile(isFinished)
    if (this.entries.length > 2 * this.frames + SWEEP_AT) {
      this.entries.retain(isPending)
      for (const queue of this.byStream.values()) queue.retain(isPending)
    }
    while (this.waiters.length > 0 && this.isDrained(this.waiters[0]!.upTo)) {
      this.waiters.shift()!.resolve(this.furthest.stores)
    }
  }
}

function sampleCount(entry: Entry): number {
  return entry.kind === 'data' ? entry.count : 0
}
