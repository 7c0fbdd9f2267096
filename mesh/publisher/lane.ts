// One (source, stream, epoch) at its publisher: hands out sequences, and holds the frames that are
// not done, in order, beside what each store has said it holds.
import { IntervalSet } from '../intervals.ts'
import { laneKey, type Epoch, type Lane, type LaneKey, type StoreId } from '../names.ts'
import { shardOf } from '../placement.ts'
import { liveTopic } from '../topic.ts'
import { Deque } from './deque.ts'
import { isFinished, isPending, type Entry } from './entry.ts'

/** Finished frames that may lie behind a pending one. */
const SWEEP_AT = 1024

export class OutgoingLane implements Lane {
  readonly source: string
  readonly stream: string
  readonly epoch: Epoch
  readonly key: LaneKey
  readonly shard: number
  readonly topic: string
  /** The last sequence given to a frame or to dropped samples. */
  lastSequence: number
  /** Frames not done, by sequence; done ones inside are taken off when they reach the front. */
  readonly pending = new Deque<Entry>()
  /** Dropped sequences not yet listed in a sealed skip frame, with the samples in each run. */
  skips: { from: number; to: number; samples: number }[] = []
  /** The sequence that gathers samples dropped before they were sealed, while nothing follows it. */
  droppedAt = 0
  /** An end frame has been sealed, or nobody knows how far the lane went: nothing may follow. */
  ended = false
  /** The lane of the same name that an earlier life left, when this one names its frames anew. */
  earlier: OutgoingLane | undefined
  /** Frames finished since `pending` was last swept. */
  private finished = 0
  private readonly held = new Map<StoreId, IntervalSet>()

  constructor(source: string, stream: string, epoch: Epoch, lastSequence = 0) {
    this.source = source
    this.stream = stream
    this.epoch = epoch
    this.key = laneKey(source, stream, epoch)
    this.shard = shardOf(source)
    this.topic = liveTopic(this.shard, stream)
    this.lastSequence = lastSequence
  }

  nextSequence(): number {
    this.lastSequence += 1
    return this.lastSequence
  }

  /** Notes that a sequence is dropped. */
  skip(sequence: number, samples: number): void {
    const last = this.skips.at(-1)
    if (last !== undefined && sequence >= last.from && sequence <= last.to + 1) {
      last.to = Math.max(last.to, sequence)
      last.samples += samples
    } else {
      this.skips.push({ from: sequence, to: sequence, samples })
    }
  }

  /** Takes in what a store says it holds, and returns the entries it had not said so of before. */
  acknowledge(storeId: StoreId, runs: readonly number[]): Entry[] {
    let known = this.held.get(storeId)
    if (known === undefined) this.held.set(storeId, (known = new IntervalSet()))
    const fresh = this.earlier?.acknowledge(storeId, runs) ?? []
    for (let i = 0; i + 1 < runs.length; i += 2) {
      const from = runs[i]!
      const to = Math.min(runs[i + 1]!, this.lastSequence)
      if (from < 1 || to < from) continue
      const known1 = known.runAt(from)
      // In order acknowledgement extends a run: only what lies past it is news.
      const start = known1 === undefined ? from : known1[1] + 1
      if (start > to) continue
      for (let at = this.pendingIndex(start); at < this.pending.length; at++) {
        const entry = this.pending.at(at)!
        if (entry.sequence > to) break
        if (!known.has(entry.sequence)) fresh.push(entry)
      }
      known.add(from, to)
    }
    return fresh
  }

  /** Pending frames that the store does not hold although it holds later ones. */
  passedOver(storeId: StoreId): Entry[] {
    const known = this.held.get(storeId)
    const first = this.pending.first()
    if (known === undefined || first === undefined || first.sequence > known.last) return []
    // In order acknowledgement leaves no hole to look for.
    if (known.runAt(first.sequence)?.[1] === known.last) return []
    const passed: Entry[] = []
    for (const entry of this.pending) {
      if (entry.sequence > known.last) break
      if (isPending(entry) && !known.has(entry.sequence)) passed.push(entry)
    }
    return passed
  }

  entry(sequence: number): Entry | undefined {
    const entry = this.pending.at(this.pendingIndex(sequence))
    return entry?.sequence === sequence ? entry : this.earlier?.entry(sequence)
  }

  /** Forgets entries at the front that are done or dropped. */
  trim(): void {
    this.pending.shiftWhile(isFinished)
    this.finished += 1
    // One frame that is stuck must not keep all that came after it.
    if (this.finished < SWEEP_AT || this.finished * 2 < this.pending.length) return
    this.pending.retain(isPending)
    this.finished = 0
  }

  /** Index in `pending` of the first entry at or after `sequence`. */
  private pendingIndex(sequence: number): number {
    let low = 0
    let high = this.pending.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.pending.at(middle)!.sequence < sequence) low = middle + 1
      else high = middle
    }
    return low
  }
}
