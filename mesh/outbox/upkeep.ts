// The background work of the log: syncs what was written, deletes segments in which nothing is live,
// moves the last live records out of segments that are nearly empty. One run at a time; a publish is
// never blocked by it, except for the moment of a write.
import { readFile } from 'node:fs/promises'
import { MeshError } from '../errors.ts'
import type { SegmentChain } from './chain.ts'
import { syncDirectory } from '../directory.ts'
import type { Place } from './live.ts'
import { decodeId, RECORD_TYPES, RecordWriter, scanRecords } from './records.ts'
import { type Segment, SEGMENT_MAGIC } from './segment.ts'

/**
 * A segment is cleaned when its live records would fill less than a quarter of a full one: each byte
 * appended then costs at most a third of a byte moved, and a live record pins at most four times its
 * size.
 */
const CLEAN_BELOW = 1 / 4

export class Upkeep {
  private readonly chain: SegmentChain
  private readonly onSyncError: (error: MeshError) => void
  private readonly writer = new RecordWriter()
  private last: Promise<void> = Promise.resolve()
  private next: Promise<void> | undefined

  constructor(chain: SegmentChain, onSyncError: (error: MeshError) => void) {
    this.chain = chain
    this.onSyncError = onSyncError
  }

  /**
   * Resolves when all that was written before the call is on disk.
   * @throws MeshError MESH_OUTBOX_WRITE_FAILED when it never will be.
   */
  run(): Promise<void> {
    if (this.next !== undefined) return this.next
    const next = this.last.then(() => {
      this.next = undefined
      return this.runOnce()
    })
    this.next = next
    // A failure is kept in chain.failure: the run after it throws it again.
    this.last = next.catch(() => {})
    return next
  }

  /** Resolves when no run is under way; whether the last one failed does not matter. */
  settled(): Promise<void> {
    return this.last
  }

  /** Bytes of the segments that stay, and of what is to be moved out of the others. */
  keptBytes(): number {
    const { segments, newest, segmentBytes } = this.chain
    let bytes = 0
    for (const segment of segments) {
      const stays = segment === newest || segment.liveBytes >= segmentBytes * CLEAN_BELOW
      bytes += stays ? segment.size : segment.liveBytes
    }
    return bytes
  }

  private async runOnce(): Promise<void> {
    const { chain } = this
    if (chain.failure !== undefined) throw chain.failure
    attempt(() => this.prepare())
    const dead = this.deadSegments()
    try {
      await this.syncAll(dead)
      for (const segment of dead) await chain.remove(segment)
    } catch (error) {
      const failure = chain.fail(
        `outbox ${chain.directory} cannot be synced (${(error as Error).message}): nothing more is ` +
          'accepted until this program is started again, which sends what is there; check the disk',
        error,
      )
      this.onSyncError(failure)
      throw failure
    }
    await this.clean()
  }

  private prepare(): void {
    const { chain } = this
    chain.writeNoted()
    const { newest } = chain
    // An idle outbox gives its disk back without waiting for a full segment.
    const isIdle = chain.live.isEmpty && newest !== undefined
    if (
      newest === undefined ||
      (isIdle && newest.size - newest.headBytes >= chain.segmentBytes / 4)
    ) {
      chain.roll()
    }
  }

  /**
   * What may be deleted after the sync of all else. Without a newest segment (the disk was too full at
   * the start) there is no checkpoint yet to say what the records of a deleted segment killed in older
   * ones, so only the oldest go.
   */
  private deadSegments(): Set<Segment> {
    const { segments, newest } = this.chain
    const live = segments.findIndex((segment) => segment.liveRecords > 0)
    const end = newest !== undefined || live < 0 ? segments.length : live
    const dead = segments.slice(0, end).filter((s) => s.liveRecords === 0 && s !== newest)
    return new Set(dead)
  }

  /** Oldest first, so that a power cut loses a tail of the log rather than a piece of its middle. */
  private async syncAll(dead: ReadonlySet<Segment>): Promise<void> {
    const { chain } = this
    for (const segment of chain.segments) {
      if (dead.has(segment)) continue
      if (segment.isDirty) await segment.sync()
      if (segment !== chain.newest && !segment.isDirty) segment.close()
    }
    if (!chain.isDirectoryDirty) return
    chain.isDirectoryDirty = false
    await syncDirectory(chain.directory)
  }

  private async clean(): Promise<void> {
    const { chain } = this
    const limit = chain.segmentBytes * CLEAN_BELOW
    let moved = 0
    for (const segment of chain.segments) {
      const { liveRecords, liveBytes, isStuck } = segment
      if (segment === chain.newest || liveRecords === 0 || liveBytes >= limit || isStuck) continue
      if (chain.newest === undefined || moved + liveBytes > limit) return
      moved += liveBytes
      const bytes = await readFile(segment.path).catch(() => Buffer.alloc(0))
      attempt(() => this.move(segment, bytes))
    }
  }

  /** Writes the live records of a segment again at the end. It is deleted by a later run, once synced. */
  private move(segment: Segment, bytes: Buffer): void {
    const { chain, writer } = this
    const { live } = chain
    const moves: ((target: Segment, offset: number) => void)[] = []
    writer.reset()
    scanRecords(bytes, SEGMENT_MAGIC.length, segment.seed, (record, at) => {
      const isSample = record[8] === RECORD_TYPES.sample
      if (!isSample && record[8] !== RECORD_TYPES.seal) return
      const id = decodeId(record)
      const place = (isSample ? live.samples : live.frames).get(id)
      if (place?.segment !== segment || place.offset !== at) return
      const start = writer.length
      writer.copy(record)
      moves.push((target, offset) => {
        const moved: Place = { segment: target, offset: offset + start, bytes: record.length }
        if (isSample) live.putSample(id, moved)
        else live.moveFrame(id, moved)
      })
    })
    if (moves.length > 0) {
      const { segment: target, offset } = chain.write(writer)
      for (const apply of moves) apply(target, offset)
    }
    segment.isStuck = segment.liveRecords > 0
  }
}

/** A write that may wait: when the disk is full it is tried again in the next run. */
function attempt(write: () => void): void {
  try {
    write()
  } catch (error) {
    if (!(error instanceof MeshError)) throw error
  }
}
