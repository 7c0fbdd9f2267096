// What a store knows to be gone for good: one record per lane in a classic-level database beside the
// buckets, written before the bucket that held the frames is removed. Without it a hole that
// retention made could not be told from one that somebody lost, and repair would fetch it again.
//
//   g lane    ended | last ingest µs | trimmed µs | lengths of the two lists | trimmed runs | skipped runs
//             as f64
import { IntervalSet, type LaneKey } from '../../mesh/index.ts'
import type { HandlePool } from './handle-pool.ts'
import { BucketIndex } from './index-database.ts'
import type { GoneLane } from './lane-state.ts'
import { checkedValue, entriesWith, withCrc, CRC_BYTES, type IndexDatabase } from './records.ts'

/** Records put together in one go: some milliseconds. */
const LANES_PER_TURN = 1_000
/** Numbers before the two lists. */
const HEAD_NUMBERS = 5

export class GoneRecords {
  private readonly index: BucketIndex

  /** `all` is asked for everything that is known, when LevelDB gives up on the database. */
  constructor(
    pool: HandlePool<IndexDatabase>,
    directory: string,
    all: () => Iterable<readonly [LaneKey, GoneLane]>,
  ) {
    this.index = new BucketIndex(pool, directory, (db) => putAll(db, all()))
  }

  /** Every record whose CRC holds. One that is lost is learned again from other stores. */
  load(): Promise<Map<LaneKey, GoneLane>> {
    return this.index.use(async (db) => {
      const found = new Map<LaneKey, GoneLane>()
      for await (const [key, value] of entriesWith(db, 'g')) {
        const gone = parseGone(key, value)
        if (gone !== undefined) found.set(key.toString('latin1', 1) as LaneKey, gone)
      }
      return found
    })
  }

  /** Resolves when all of it is on the disk. @throws the system's error. */
  put(lanes: Iterable<readonly [LaneKey, GoneLane]>): Promise<void> {
    return this.index.use((db) => putAll(db, lanes))
  }

  delete(keys: readonly LaneKey[]): Promise<void> {
    const operations = keys.map((lane) => ({ type: 'del' as const, key: keyOf(lane) }))
    return this.index.use((db) => db.batch(operations, { sync: true }))
  }
}

async function putAll(
  db: IndexDatabase,
  lanes: Iterable<readonly [LaneKey, GoneLane]>,
): Promise<void> {
  let operations = []
  for (const [lane, gone] of lanes) {
    const key = keyOf(lane)
    operations.push({ type: 'put' as const, key, value: goneValue(key, gone) })
    if (operations.length < LANES_PER_TURN) continue
    await db.batch(operations, { sync: true })
    operations = []
  }
  await db.batch(operations, { sync: true })
}

function keyOf(lane: LaneKey): Buffer {
  return Buffer.from(`g${lane}`, 'latin1')
}

function goneValue(
  key: Buffer,
  { trimmed, skipped, ended, lastIngestUs, trimmedUs }: GoneLane,
): Buffer {
  const lists = [trimmed.toRuns(), skipped.toRuns()]
  const lengths = lists.map((list) => list.length)
  const all = Float64Array.from([ended, lastIngestUs, trimmedUs, ...lengths, ...lists.flat()])
  return withCrc(key, Buffer.concat([Buffer.from(all.buffer), Buffer.alloc(CRC_BYTES)]))
}

function parseGone(key: Buffer, value: Buffer): GoneLane | undefined {
  const content = checkedValue(key, value)
  if (content === undefined) return undefined
  const numbers = new Float64Array(new Uint8Array(content).buffer)
  const skippedAt = HEAD_NUMBERS + numbers[3]!
  return {
    ended: numbers[0]!,
    lastIngestUs: numbers[1]!,
    trimmedUs: numbers[2]!,
    trimmed: new IntervalSet([...numbers.subarray(HEAD_NUMBERS, skippedAt)]),
    skipped: new IntervalSet([...numbers.subarray(skippedAt, skippedAt + numbers[4]!)]),
  }
}
