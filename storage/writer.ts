// Group commit: frames gather while the batch before them is written and synced, then all go out
// together; once a full batch has gathered it is written while the one before it is still synced.
// Nothing is called stored that is not on the disk, and after a failed write nothing is until the store
// has re-opened and checked itself. Whoever asked for no more is told when it is written.
//
//   offer ─► queue ─► batch ─► duplicates sorted out ─► append ─► fdatasync ─► onCommitted(results)
//             ▲                                         │  │       │ fails
//             └── 'full' beyond the budget              │  └───┬───┘
//                                onWritten(results) ◄───┘      ▼
//                                                          failing: everything refused; reopen()
//                                                          after 1 s, 2 s, … 30 s
import type { AckLevel, Clock, Frame, LaneKey, Timer } from '../mesh/index.ts'
import { BatchQueue, type Batch, type QueuedFrame } from './batch-queue.ts'
import type { StorageErrorCode } from './errors.ts'
import type { StoredFrame, WritableStore } from './frame-store.ts'
import { asWriteError } from './level/disk.ts'
import { sortOut, type NameConflict, type Verdict } from './sort-out.ts'
import { UnderWay } from './under-way.ts'

/**
 * stored: on the disk now. duplicate: was there already, same bytes. conflict: other bytes are there
 * under this name. refused: the store is failing, or cannot read what it has under this name; offer it
 * again later, or elsewhere.
 */
export type Outcome = Verdict

export interface CommitResult<Origin> {
  readonly outcome: Outcome
  readonly laneKey: LaneKey
  readonly sequence: number
  /** As passed to `offer`. */
  readonly origin: Origin | undefined
  readonly level: AckLevel
  /** A copy of the writer's, to be read only while it is told of. */
  readonly frame: Frame
  readonly ingestUs: number
  readonly conflict?: NameConflict
}

export interface WriterOptions<Origin> {
  readonly store: WritableStore
  readonly clock: Clock
  /** Called once for each batch, in order. Duplicates are reported when the frame they repeat is synced. */
  readonly onCommitted: (results: readonly CommitResult<Origin>[]) => void
  /** Bytes that may wait, batch under way included. Default 64 MiB. */
  readonly budgetBytes?: number
  /**
   * Least time between the starts of two commits while frames come in quantity. A commit costs
   * 0.1–0.3 ms of CPU whatever is in it, and one after the other they would use half a core
   * (docs/adr/0002). A commit of few frames is followed by the next one at once. Default 1 ms; 0 for none.
   */
  readonly commitIntervalMs?: number
}

export interface WriterCounters {
  /** Frames and samples stored; bytes of those frames. */
  frames: number
  samples: number
  bytes: number
  /** Commits that stored something. */
  batches: number
  duplicates: number
  conflicts: number
  refused: number
}

export type WriterHealth =
  | { readonly state: 'healthy' | 'closed' }
  | {
      readonly state: 'failing'
      readonly code: StorageErrorCode
      readonly reason: string
      readonly sinceUs: number
    }

const BUDGET_BYTES = 64 << 20
const COMMIT_INTERVAL_MS = 1
/** A commit of so many frames says that the next one gains by waiting for more. */
const PACED_FRAMES = 8
/** Batches written and not synced yet: more would not be synced sooner. */
const COMMITS_MAX = 8
const REOPEN_FIRST_MS = 1000
const REOPEN_MAX_MS = 30_000

export class Writer<Origin> {
  readonly counters: WriterCounters = {
    frames: 0,
    samples: 0,
    bytes: 0,
    batches: 0,
    duplicates: 0,
    conflicts: 0,
    refused: 0,
  }
  private readonly options: WriterOptions<Origin>
  private readonly queue = new BatchQueue<Origin>()
  private readonly budgetBytes: number
  private readonly commitIntervalMs: number
  private status: WriterHealth = { state: 'healthy' }
  /** The loop that commits, while there is anything to commit. */
  private running: Promise<void> | undefined
  private lastCommitMs = -Infinity
  private lastCommitFrames = 0
  private reopenTimer: Timer | undefined
  private committingBytes = 0
  private readonly underWay = new UnderWay()
  private commits = 0
  /** Whether the last batch taken is written. */
  private isWritten = false
  /** Lets the next batch follow. */
  private follow: () => void = () => undefined
  /** Whether the last batch taken, and so all before it, could be stored. */
  private last: Promise<boolean> = Promise.resolve(true)
  private drains = 0
  private endPause: () => void = () => undefined
  private isClosing = false
  /** Frames taken so far, and how many of them have their result. */
  private taken = 0
  private settledFrames = 0
  private tellWritten: (results: readonly CommitResult<Origin>[]) => void = () => undefined
  private readonly waiters: { readonly upTo: number; readonly resolve: () => void }[] = []

  constructor(options: WriterOptions<Origin>) {
    this.options = options
    this.budgetBytes = options.budgetBytes ?? BUDGET_BYTES
    this.commitIntervalMs = options.commitIntervalMs ?? COMMIT_INTERVAL_MS
  }

  /**
   * Takes a copy of the frame to be stored. `full`: the budget is used up, nothing was taken.
   * `refused`: the store is failing or closed, nothing was taken. `ingestUs` is for repair, which
   * carries along when a store of the mesh first took the frame. Whatever the `level`, the frame is
   * synced with its batch: at `written` its origin hears of it before that.
   */
  offer(
    frame: Frame,
    origin: Origin | undefined,
    ingestUs: number = this.options.clock.nowUs(),
    level: AckLevel = 'synced',
  ): 'queued' | 'full' | 'refused' {
    if (this.status.state !== 'healthy' || this.isClosing) return 'refused'
    // One that is larger than the whole budget goes alone.
    const { queuedBytes } = this
    if (queuedBytes > 0 && queuedBytes + frame.bytes.length > this.budgetBytes) return 'full'
    this.queue.push(frame, origin, ingestUs, level)
    this.taken += 1
    this.running ??= this.run()
    this.letFollow()
    return 'queued'
  }

  /** Who hears of frames offered at `written` once all of their batch is; conflicts come with the commit. */
  onWritten(listener: (results: readonly CommitResult<Origin>[]) => void): void {
    this.tellWritten = listener
  }

  /** Whether a frame of this name is on the disk, or was until retention removed it. */
  holds({ laneKey, sequence }: Frame): boolean {
    const lane = this.options.store.lane(laneKey)
    return lane?.held.has(sequence) === true || lane?.trimmed.has(sequence) === true
  }

  health(): WriterHealth {
    return this.status
  }

  /** Bytes of frames waiting or being written. */
  get queuedBytes(): number {
    return this.queue.bytes + this.committingBytes
  }

  /** Resolves when everything taken so far has its result. */
  async settled(): Promise<void> {
    const upTo = this.taken
    if (this.settledFrames >= upTo) return
    await new Promise<void>((resolve) => this.waiters.push({ upTo, resolve }))
  }

  /** As settled(), but for all that comes meanwhile too; commits no longer wait for company. */
  async drain(): Promise<void> {
    this.drains += 1
    this.endPause()
    try {
      while (this.running !== undefined) await this.running
    } finally {
      this.drains -= 1
    }
  }

  /** Settles what was offered, and takes no more. The store stays open. */
  async close(): Promise<void> {
    this.isClosing = true
    await this.drain()
    this.reopenTimer?.cancel()
    this.status = { state: 'closed' }
  }

  private async run(): Promise<void> {
    // What is offered in one go, as the frames of one message are, goes together.
    await Promise.resolve()
    while (this.queue.length > 0) {
      await this.pace()
      const batch = this.queue.take()
      this.lastCommitMs = this.options.clock.monotonicMs()
      this.lastCommitFrames = batch.frames.length
      this.committingBytes += batch.bytes
      // What failed and is over says nothing of what comes.
      const before = this.commits === 0 ? Promise.resolve(true) : this.last
      this.commits += 1
      this.isWritten = false
      this.last = this.process(batch, before)
      await new Promise<void>((resolve) => {
        this.follow = resolve
        void this.last.then(() => resolve())
      })
    }
    this.running = undefined
  }

  /** The next batch is written while this one is synced, where there is much to write. */
  private letFollow(): void {
    if (this.isWritten && this.queue.hasFullBatch && this.commits < COMMITS_MAX) this.follow()
  }

  private async process(batch: Batch<Origin>, before: Promise<boolean>): Promise<boolean> {
    const isStored = await this.commit(batch.frames, before)
    this.commits -= 1
    this.committingBytes -= batch.bytes
    this.queue.recycle(batch)
    this.settle(batch.frames.length)
    this.letFollow()
    return isStored
  }

  private settle(frames: number): void {
    this.settledFrames += frames
    while (this.waiters.length > 0 && this.waiters[0]!.upTo <= this.settledFrames) {
      this.waiters.shift()!.resolve()
    }
  }

  private async pace(): Promise<void> {
    const { clock } = this.options
    if (this.lastCommitFrames < PACED_FRAMES) return
    const waitMs = this.lastCommitMs + this.commitIntervalMs - clock.monotonicMs()
    if (waitMs <= 0 || this.queue.hasFullBatch || this.drains > 0) return
    await new Promise<void>((resolve) => {
      // A timer does not keep a process alive, and one that drains must not end before its frames.
      const timer = clock.startTimer(waitMs, resolve)
      this.endPause = () => {
        timer.cancel()
        resolve()
      }
    })
  }

  /** Settles a batch after those before it. False when it could not be stored. */
  private async commit(
    frames: readonly QueuedFrame<Origin>[],
    before: Promise<boolean>,
  ): Promise<boolean> {
    const { store } = this.options
    let results: CommitResult<Origin>[] = []
    let isStored = this.status.state === 'healthy'
    try {
      if (isStored) {
        const { verdicts, conflicts } = await sortOut(store, frames, this.underWay)
        results = frames.map((queued, i) => resultOf(queued, verdicts[i]!, conflicts.get(i)))
        await this.append(
          frames.filter((_, i) => verdicts[i] === 'stored'),
          results,
        )
      }
    } catch (error) {
      isStored = false
      this.startFailing(error)
    }
    // What repeats a frame of a batch before is there only if that one is.
    isStored = (await before) && isStored
    if (isStored) this.tellCommitted(results)
    else this.refuse(frames)
    return isStored
  }

  private tellCommitted(results: readonly CommitResult<Origin>[]): void {
    for (const { outcome } of results) {
      if (outcome === 'duplicate') this.counters.duplicates += 1
      else if (outcome === 'conflict') this.counters.conflicts += 1
      else if (outcome === 'refused') this.counters.refused += 1
    }
    this.options.onCommitted(results)
  }

  private async append(
    fresh: readonly StoredFrame[],
    results: readonly CommitResult<Origin>[],
  ): Promise<void> {
    const early = results.filter(
      ({ level, outcome }) =>
        level === 'written' && outcome !== 'conflict' && outcome !== 'refused',
    )
    const onWritten = (): void => {
      this.isWritten = true
      if (early.length > 0) this.tellWritten(early)
      this.letFollow()
    }
    if (fresh.length === 0) {
      onWritten()
      return
    }
    this.underWay.add(fresh)
    try {
      await this.options.store.append(fresh, onWritten, early.length > 0)
    } finally {
      this.underWay.delete(fresh)
    }
    const { counters } = this
    counters.batches += 1
    counters.frames += fresh.length
    for (const { frame } of fresh) {
      counters.bytes += frame.bytes.length
      if (frame.kind === 'data') counters.samples += frame.count
    }
  }

  private refuse(frames: readonly QueuedFrame<Origin>[]): void {
    this.counters.refused += frames.length
    this.options.onCommitted(frames.map((queued) => resultOf(queued, 'refused', undefined)))
  }

  private startFailing(error: unknown): void {
    if (this.status.state !== 'healthy') return
    const { clock } = this.options
    this.status = { state: 'failing', ...describe(error), sinceUs: clock.nowUs() }
    this.reopenAfter(REOPEN_FIRST_MS)
  }

  /** Tries again and again: a disk gets space, or is mounted again, without anybody telling us. */
  private reopenAfter(delayMs: number): void {
    const { clock } = this.options
    this.reopenTimer = clock.startTimer(delayMs, () => {
      void this.reopen(delayMs)
    })
  }

  private async reopen(delayMs: number): Promise<void> {
    try {
      await this.options.store.reopen()
      if (this.status.state === 'failing') this.status = { state: 'healthy' }
    } catch (error) {
      if (this.status.state !== 'failing') return
      this.status = { ...this.status, ...describe(error) }
      this.reopenAfter(Math.min(delayMs * 2, REOPEN_MAX_MS))
    }
  }
}

function resultOf<Origin>(
  { frame, origin, level, ingestUs }: QueuedFrame<Origin>,
  outcome: Outcome,
  conflict: NameConflict | undefined,
): CommitResult<Origin> {
  const { laneKey, sequence } = frame
  const result = { outcome, laneKey, sequence, origin, level, frame, ingestUs }
  return conflict === undefined ? result : { ...result, conflict }
}

function describe(error: unknown): { code: StorageErrorCode; reason: string } {
  const { code, message } = asWriteError(error, 'cannot store frames')
  return { code, reason: message }
}
