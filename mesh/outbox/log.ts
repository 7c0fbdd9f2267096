// The publisher's outbox on disk, written before anything is sent: samples when they are accepted,
// frames when they are sealed. Called by the publisher. docs/outbox-format.md has the bytes, the steps
// of recovery and the reasons.
//
//   appendSample ──► live sample ──appendSeal──► live frame ──done──► dead
//                         └──────dropSamples──────────────────────────► dead
//
// Invariant: after any crash a sample whose append returned is in exactly one sealed frame or among
// the recovered samples, because one record both holds the frame and consumes its samples. The log
// goes on from life to life: ordinals and positions are never given twice.
import type { Clock, Timer } from '../clock.ts'
import { MeshError } from '../errors.ts'
import { frameName } from '../frame.ts'
import type { MeshId, SchemaId } from '../names.ts'
import type { Sample } from '../sample.ts'
import type { Schema } from '../schema.ts'
import { readBootId } from './boot.ts'
import { SegmentChain } from './chain.ts'
import { markClosed, markOpen } from './closed.ts'
import { createDirectory } from '../directory.ts'
import type { LiveSet } from './live.ts'
import { type Lock, lockDirectory } from './lock.ts'
import { eachOf, RECORD_HEAD_BYTES, RecordWriter, type Runs, runsOf } from './records.ts'
import type { SampleInput } from './records.ts'
import { type FramePosition, NOTHING_RECOVERED, type Recovered } from './recovered.ts'
import { type Replay, replay } from './recovery.ts'
import { SchemaFiles } from './schemas.ts'
import type { Segment } from './segment.ts'
import { Upkeep } from './upkeep.ts'

export type { RecoveredLane } from './lanes.ts'
export type { SampleInput } from './records.ts'
export type { FramePosition, Recovered, RecoveredFrame, RecoveredSample } from './recovered.ts'

/** A power cut loses or repeats at most the last 100 ms. */
const SYNC_MS = 100
/** Large enough that files are rarely created, small enough to be read whole. */
const SEGMENT_BYTES = 8 << 20

export interface OutboxLogOptions {
  /** Of this log alone; created when missing. */
  readonly directory: string
  readonly meshId: MeshId
  readonly clock: Clock
  /** How long what was written may wait for its fdatasync. */
  readonly syncMs?: number
  readonly segmentBytes?: number
  /** Tells one run of the system from another; '' when nothing does. Default: what Linux says. */
  readonly bootId?: string
  /** Called once: from then on every append throws MESH_OUTBOX_WRITE_FAILED. */
  readonly onSyncError?: (error: MeshError) => void
}

/** Samples by ordinal: a list in any order, or all of [from, to]. */
export type Ordinals = readonly number[] | { readonly from: number; readonly to: number }

export class OutboxLog implements AsyncDisposable {
  private readonly chain: SegmentChain
  private readonly live: LiveSet
  private readonly upkeep: Upkeep
  private readonly schemas: SchemaFiles
  private readonly lock: Lock
  private readonly clock: Clock
  private readonly syncMs: number
  private readonly writer = new RecordWriter()
  private found: Recovered
  private timer: Timer | undefined
  private closing: Promise<void> | undefined

  /**
   * Opens the log of a directory, alone, and recovers what its last life left. On a full disk it
   * opens too, so that the backlog can drain; appends throw until there is room. Cost: one read of
   * all segments, and one more of each frame that is live.
   * @throws MeshError MESH_OUTBOX_IN_USE while another OutboxLog, in any process, has it open.
   * @throws MeshError MESH_MISMATCH when it belongs to another mesh.
   * @throws MeshError MESH_OUTBOX_DAMAGED when it has another version of the format.
   * @throws MeshError MESH_OUTBOX_WRITE_FAILED when the directory cannot be created, locked or
   * synced.
   */
  static async open(options: OutboxLogOptions): Promise<OutboxLog> {
    checkSegmentBytes(options.segmentBytes)
    const { directory, meshId, bootId = readBootId() } = options
    const schemas = new SchemaFiles(directory)
    const lock = await lockNewDirectory(directory)
    let log: OutboxLog | undefined
    try {
      const replayed = await replay(directory, meshId, bootId)
      log = new OutboxLog({ ...options, bootId }, { lock, schemas, replayed })
      await log.upkeep.run()
      await log.takeOver()
      return log
    } catch (error) {
      log?.chain.close()
      lock.release()
      throw error
    }
  }

  private constructor(
    options: OutboxLogOptions & { bootId: string },
    { lock, schemas, replayed }: { lock: Lock; schemas: SchemaFiles; replayed: Replay },
  ) {
    const { directory, meshId, bootId, segmentBytes = SEGMENT_BYTES } = options
    const onChange = (): void => this.scheduleSync()
    this.chain = new SegmentChain(replayed, { directory, meshId, segmentBytes, bootId, onChange })
    this.live = replayed.live
    this.found = replayed.recovered
    this.upkeep = new Upkeep(this.chain, (error) => options.onSyncError?.(error))
    this.schemas = schemas
    this.lock = lock
    this.clock = options.clock
    this.syncMs = options.syncMs ?? SYNC_MS
  }

  /** What open() found. It holds the samples themselves, and the headers of the frames. */
  get recovered(): Recovered {
    return this.found
  }

  /** Of all segments: what the outbox bound counts. An idle log shrinks to a quarter of a segment. */
  get diskBytes(): number {
    return this.chain.diskBytes
  }

  /** What will be left of diskBytes when the background work has caught up with what is dead. */
  get keptBytes(): number {
    return this.upkeep.keptBytes()
  }

  /** Lets go of the memory of `recovered`, which is empty from then on; on disk nothing changes. */
  forgetRecovered(): void {
    this.found = NOTHING_RECOVERED
  }

  /**
   * Accepts a sample: it is with the system when this returns, and on disk syncMs later. Returns its
   * ordinal, one more than the last.
   * @throws MeshError MESH_OUTBOX_WRITE_FAILED (disk full, failed sync, closed): nothing is accepted.
   * @throws MeshError MESH_SAMPLE_INVALID or MESH_FRAME_TOO_LARGE.
   */
  appendSample(stream: string, source: string, sample: Sample): number {
    const ordinal = this.live.nextOrdinal
    const { writer } = this
    writer.reset()
    writer.sample(ordinal, { stream, source, sample })
    const bytes = writer.length
    const { segment, offset } = this.write()
    this.live.putSample(ordinal, { segment, offset, bytes })
    return ordinal
  }

  /**
   * As appendSample for many, with one write(2): all are accepted or none. Returns the first ordinal;
   * the others follow it. Of a batch of none it returns the next ordinal.
   */
  appendSamples(batch: readonly SampleInput[]): number {
    const first = this.live.nextOrdinal
    if (batch.length === 0) return first
    const { writer } = this
    writer.reset()
    for (let i = 0; i < batch.length; i++) writer.sample(first + i, batch[i]!)
    const { segment, offset } = this.write()
    for (let at = 0, ordinal = first; at < writer.length; ordinal++) {
      const bytes = RECORD_HEAD_BYTES + writer.bytes.readUInt32LE(at + 4)
      this.live.putSample(ordinal, { segment, offset: offset + at, bytes })
      at += bytes
    }
    return first
  }

  /**
   * Stores the exact bytes of a frame and consumes the samples in it, both or neither. `samples` may
   * be of this life or recovered, and is empty for frames that carry none. The lane of the frame is
   * known from then on: nothing may be sealed in it after its end frame.
   * @throws RangeError when a sample is not live: unknown, or consumed before.
   * @throws MeshError MESH_OUTBOX_WRITE_FAILED: nothing has changed.
   */
  appendSeal(bytes: Buffer, samples: Ordinals): FramePosition {
    const ordinals = toRuns(samples)
    const name = frameName(bytes)
    const missing = this.live.missingSample(ordinals)
    if (missing !== undefined) throw new RangeError(`sample ${missing} is not in the outbox`)
    const position = this.live.nextPosition
    const { writer } = this
    writer.reset()
    writer.seal(position, ordinals, bytes)
    const length = writer.length
    const { segment, offset } = this.write()
    this.live.putFrame(position, { segment, offset, bytes: length }, name)
    for (const ordinal of eachOf(ordinals)) this.live.takeSample(ordinal)
    return position as FramePosition
  }

  /**
   * Keeps a schema for the lives to come, which send it with the frames they find. On disk when this
   * returns; call it before the first seal that names the schema. Free from the second call on.
   * @throws MeshError MESH_OUTBOX_WRITE_FAILED
   */
  appendSchema(schema: Schema): void {
    this.checkWritable()
    try {
      this.schemas.write(schema)
    } catch (error) {
      throw this.chain.writeError(error)
    }
  }

  /** A schema that was appended, in this life or, while frames name it, in an earlier one. */
  schema(id: SchemaId): Schema | undefined {
    return this.schemas.read(id)
  }

  /** Gives up samples that are in no frame. After a crash within syncMs they may come back. */
  dropSamples(samples: Ordinals): void {
    for (const ordinal of eachOf(toRuns(samples))) {
      if (!this.live.samples.has(ordinal)) continue
      this.live.takeSample(ordinal)
      this.chain.noteDropped(ordinal)
    }
  }

  /** The frame is stored, or dropped. After a crash within syncMs it may come back; see close(). */
  done(position: FramePosition): void {
    if (!this.live.frames.has(position)) return
    this.live.takeFrame(position)
    this.chain.noteDone(position)
  }

  /**
   * The bytes of a sealed frame, read from disk and checked; the caller's to keep.
   * @throws RangeError when it is done. @throws MeshError MESH_OUTBOX_DAMAGED
   */
  read(position: FramePosition): Buffer {
    return this.live.readSeal(position).frame
  }

  /**
   * Resolves when all that was appended before the call is on disk.
   * @throws MeshError MESH_OUTBOX_WRITE_FAILED when it never will be.
   */
  sync(): Promise<void> {
    return this.closing ?? this.upkeep.run()
  }

  /**
   * Writes and syncs everything, what is done included, and releases the directory.
   * @throws MeshError MESH_OUTBOX_WRITE_FAILED when that fails now; not for what onSyncError has told.
   */
  close(): Promise<void> {
    this.closing ??= this.closeOnce()
    return this.closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  private async closeOnce(): Promise<void> {
    const { chain } = this
    this.timer?.cancel()
    try {
      if (chain.failure === undefined) await this.writeLast()
      if (chain.failure === undefined) await this.markClosed()
    } finally {
      await this.upkeep.settled()
      chain.close()
      this.lock.release()
    }
  }

  /** Even when there is no room to write what is done, the rest is synced. */
  private async writeLast(): Promise<void> {
    try {
      this.chain.writeNoted()
    } finally {
      await this.upkeep.run()
    }
  }

  private async markClosed(): Promise<void> {
    // A courtesy to the next life: without it, it may have to leave lanes without an end.
    await markClosed(this.chain.directory).catch(() => {})
  }

  /** What was recovered is on disk as this life's own now, or the disk is full. */
  private async takeOver(): Promise<void> {
    const { chain, found, schemas } = this
    try {
      await markOpen(chain.directory)
      if (chain.newest === undefined) return
      await schemas.keepOnly(new Set(found.frames.map(({ frame }) => frame.schemaId)))
    } catch (error) {
      throw chain.writeError(error)
    }
  }

  private write(): { segment: Segment; offset: number } {
    this.checkWritable()
    return this.chain.write(this.writer)
  }

  private checkWritable(): void {
    const { directory, failure } = this.chain
    if (failure !== undefined) throw failure
    if (this.closing === undefined) return
    throw new MeshError('MESH_OUTBOX_WRITE_FAILED', `outbox ${directory} is closed`)
  }

  private scheduleSync(): void {
    if (this.closing !== undefined) return
    this.timer ??= this.clock.startTimer(this.syncMs, () => {
      this.timer = undefined
      // A failure has been told to onSyncError.
      this.upkeep.run().catch(() => {})
    })
  }
}

/** A segment is read whole, and the CRC of a record starts from its offset as 32 bits. */
function checkSegmentBytes(segmentBytes = SEGMENT_BYTES): void {
  if (Number.isInteger(segmentBytes) && segmentBytes > 0 && segmentBytes <= 1 << 30) return
  throw new RangeError(`segmentBytes ${segmentBytes} is not in 1..${1 << 30}`)
}

async function lockNewDirectory(directory: string): Promise<Lock> {
  try {
    await createDirectory(directory)
  } catch (cause) {
    const message = `outbox ${directory} cannot be created`
    throw new MeshError('MESH_OUTBOX_WRITE_FAILED', message, { cause })
  }
  return lockDirectory(directory)
}

function toRuns(ordinals: Ordinals): Runs {
  if ('from' in ordinals) return ordinals.to < ordinals.from ? [] : [ordinals.from, ordinals.to]
  for (let i = 1; i < ordinals.length; i++) {
    if (ordinals[i]! <= ordinals[i - 1]!) {
      return runsOf([...new Set(ordinals)].sort((a, b) => a - b))
    }
  }
  return runsOf(ordinals)
}
