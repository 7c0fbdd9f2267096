// The segments of a log, oldest first, of which only the newest is written. Called by log.ts for every
// append and by upkeep.ts.
//
// Invariant: each segment begins with a checkpoint of all that was live when it was begun. So any
// older segment may vanish once nothing in it is live: that its records killed something in a yet
// older one is known from the checkpoints after it.
import { MeshError } from '../errors.ts'
import type { MeshId } from '../names.ts'
import type { LiveSet } from './live.ts'
import { RecordWriter, runsOf } from './records.ts'
import type { Replay } from './recovery.ts'
import { Segment, SEGMENT_MAGIC, TornWriteError } from './segment.ts'

export interface ChainOptions {
  readonly directory: string
  readonly meshId: MeshId
  readonly segmentBytes: number
  /** Of the running system; '' when unknown. */
  readonly bootId: string
  /** Called after every change that upkeep.ts has work with. */
  readonly onChange: () => void
}

export class SegmentChain {
  readonly live: LiveSet
  readonly directory: string
  readonly segmentBytes: number
  segments: Segment[]
  /** A segment was created and the directory is not synced yet. */
  isDirectoryDirty = false
  /** Why nothing can be appended any more. */
  failure: MeshError | undefined
  private readonly options: ChainOptions
  private readonly head = new RecordWriter()
  private readonly noted = new RecordWriter()
  private nextNumber: number
  private current: Segment | undefined
  private bytesOnDisk = 0
  private donePositions: number[] = []
  private droppedOrdinals: number[] = []

  constructor({ live, segments, nextNumber }: Replay, options: ChainOptions) {
    this.live = live
    this.directory = options.directory
    this.segmentBytes = options.segmentBytes
    this.segments = segments
    this.options = options
    this.nextNumber = nextNumber
    for (const segment of segments) this.bytesOnDisk += segment.size
  }

  /** Of all segments. */
  get diskBytes(): number {
    return this.bytesOnDisk
  }

  /** The segment this life writes; undefined as long as the disk was too full to begin one. */
  get newest(): Segment | undefined {
    return this.current
  }

  /**
   * Writes the records of `writer` in one piece at the end and returns the offset in `segment`.
   * @throws MeshError MESH_OUTBOX_WRITE_FAILED: then none of them is in the log.
   */
  write(writer: RecordWriter): { segment: Segment; offset: number } {
    if (this.failure !== undefined) throw this.failure
    try {
      const segment = this.segmentFor(writer.length)
      writer.finish(segment.seed, segment.size)
      const offset = segment.append(writer.bytes, writer.length)
      this.bytesOnDisk += writer.length
      this.options.onChange()
      return { segment, offset }
    } catch (error) {
      throw this.writeError(error)
    }
  }

  /** @throws MeshError MESH_OUTBOX_WRITE_FAILED: then the chain is as before. */
  roll(): void {
    if (this.failure !== undefined) throw this.failure
    try {
      this.begin()
    } catch (error) {
      throw this.writeError(error)
    }
  }

  /** Notes that a frame, already taken from the live set, is done: written later. */
  noteDone(position: number): void {
    this.donePositions.push(position)
    this.options.onChange()
  }

  noteDropped(ordinal: number): void {
    this.droppedOrdinals.push(ordinal)
    this.options.onChange()
  }

  /** Writes what was noted. @throws MeshError MESH_OUTBOX_WRITE_FAILED: then it stays noted. */
  writeNoted(): void {
    if (this.donePositions.length === 0 && this.droppedOrdinals.length === 0) return
    this.noted.reset()
    this.noted.dead({
      positions: runsOf(this.donePositions.sort((a, b) => a - b)),
      ordinals: runsOf(this.droppedOrdinals.sort((a, b) => a - b)),
    })
    this.write(this.noted)
    this.forgetNoted()
  }

  /** Forgets and deletes a segment that is not the newest and in which nothing is live. */
  async remove(segment: Segment): Promise<void> {
    this.segments = this.segments.filter((other) => other !== segment)
    await segment.remove()
    this.bytesOnDisk -= segment.size
  }

  /** Ends all appends. @returns the error they will throw. */
  fail(message: string, cause: unknown): MeshError {
    this.failure ??= new MeshError('MESH_OUTBOX_WRITE_FAILED', message, { cause })
    return this.failure
  }

  close(): void {
    for (const segment of this.segments) segment.close()
  }

  private segmentFor(bytes: number): Segment {
    const { current } = this
    if (current === undefined) return this.begin()
    // The checkpoint does not count: a long one must not make every record begin a segment.
    const filled = current.size - current.headBytes
    return filled > 0 && filled + bytes > this.segmentBytes ? this.begin() : current
  }

  private begin(): Segment {
    const { head, options } = this
    const segment = new Segment(options.directory, options.meshId, this.nextNumber)
    this.nextNumber += 1
    head.reset()
    head.raw(SEGMENT_MAGIC)
    head.checkpoint(this.live.checkpoint(options.bootId))
    head.finish(segment.seed, 0, SEGMENT_MAGIC.length)
    segment.create(head.bytes, head.length)
    this.segments.push(segment)
    this.current = segment
    this.bytesOnDisk += segment.size
    this.isDirectoryDirty = true
    // The checkpoint says it all.
    this.forgetNoted()
    return segment
  }

  private forgetNoted(): void {
    this.donePositions = []
    this.droppedOrdinals = []
  }

  /** As what an append throws when the system has thrown `cause`. */
  writeError(cause: unknown): MeshError {
    if (cause instanceof TornWriteError) return this.fail(cause.message, cause)
    const { code, message } = cause as NodeJS.ErrnoException
    return new MeshError('MESH_OUTBOX_WRITE_FAILED', `outbox ${this.directory}: ${message}`, {
      retryable: true,
      cause,
      details: { directory: this.directory, errno: code },
    })
  }
}
