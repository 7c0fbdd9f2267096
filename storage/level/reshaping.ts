// What happens to buckets that are written no more: their segments become block files, and in the end
// they are removed. Frames can come to a bucket, and are read from it, meanwhile.
import {
  IntervalSet,
  laneKey,
  type Clock,
  type Lane,
  type LaneKey,
  type Schema,
  type SchemaId,
} from '../../mesh/index.ts'
import type { Gone } from '../frame-store.ts'
import { compactInThread } from './blocks/compaction-thread.ts'
import type { Bucket } from './bucket.ts'
import type { BucketTable } from './bucket-table.ts'
import type { DamageList } from './damage-list.ts'
import type { FrameFinder } from './frame-finder.ts'
import type { GoneRecords } from './gone-records.ts'
import { BucketLane, LaneState, type GoneLane } from './lane-state.ts'
import type { LaneTable } from './lane-table.ts'
import { Turns } from './turns.ts'
import type { WritePath } from './write-path.ts'

/** As much of a SchemaStore as is needed. */
export interface SchemaSource {
  get(id: SchemaId): Schema | undefined
  list(): readonly Schema[]
}

export interface ReshapingOptions {
  readonly table: LaneTable
  readonly buckets: BucketTable
  readonly damage: DamageList
  readonly finder: FrameFinder
  readonly gone: GoneRecords
  readonly writePath: WritePath
  readonly schemas: SchemaSource
  readonly clock: Clock
  /** Aborted with what is told to who comes after the store is closed. */
  readonly closed: AbortSignal
}

export class Reshaping {
  private readonly options: ReshapingOptions
  /** One trimming or compaction at a time. */
  private readonly turns = new Turns()
  /** One change of what is gone at a time. */
  private readonly goneTurns = new Turns()

  constructor(options: ReshapingOptions) {
    this.options = options
  }

  /** As LevelStore's. */
  compact(className: string, startMs: number): Promise<boolean> {
    const { buckets, closed, finder, writePath } = this.options
    return this.turns.take(async () => {
      closed.throwIfAborted()
      const bucket = buckets.at(className, startMs)
      if (bucket === undefined || bucket.segments === 0) return false
      await writePath.exclusively(async () => {
        // Once cool, all of it is in finished segments.
        await writePath.coolBucket(bucket)
        await writePath.makeWarm(bucket)
        bucket.isPinned = true
      })
      try {
        const held = new Map<LaneKey, IntervalSet>()
        for (const group of bucket.uncompacted()) await this.compactGroup(bucket, group, held)
        await finder.noteMissing(bucket, held)
      } finally {
        bucket.isPinned = false
        bucket.fileBytes = undefined
        await writePath.exclusively(() => writePath.coolBucket(bucket))
      }
      return true
    })
  }

  /** As LevelStore's. */
  trim(className: string, startMs: number): Promise<boolean> {
    const { buckets, clock, closed, finder, gone, table, writePath } = this.options
    return this.turns.take(async () => {
      closed.throwIfAborted()
      const bucket = buckets.at(className, startMs)
      if (bucket === undefined) return false
      const writes = await writePath.exclusively(async () => {
        await writePath.coolBucket(bucket)
        return bucket.writes
      })
      const { lanes } = await bucket.load()
      await finder.noteLosses(bucket)
      for (const { lane, runs } of bucket.damageNotes()) {
        let part = lanes.get(lane)
        if (part === undefined) lanes.set(lane, (part = new BucketLane(lane, startMs)))
        part.held.addAll(new IntervalSet(runs))
      }
      const nowUs = clock.nowUs()
      return this.goneTurns.take(async () => {
        await gone.put(
          Array.from(lanes.values(), (part): [LaneKey, GoneLane] => [
            part.key,
            table.take(part.key).goneWith(part, nowUs),
          ]),
        )
        return writePath.exclusively(async () => {
          // What came meanwhile is not in what was noted as gone.
          return bucket.writes === writes && (await this.removeBucket(bucket, lanes, nowUs))
        })
      })
    })
  }

  /** As FrameStore's. */
  learnGone({ source, stream, epoch }: Lane, gone: Gone): Promise<void> {
    const { closed, gone: records, table } = this.options
    return this.goneTurns.take(async () => {
      closed.throwIfAborted()
      const key = laneKey(source, stream, epoch)
      // As it will be: memory follows the disk.
      const learned = new LaneState(key)
      learned.learn(table.get(key)?.gone() ?? gone)
      learned.learn(gone)
      await records.put([[key, learned.gone()]])
      const state = table.take(key)
      state.learn(gone)
      table.changed(state)
    })
  }

  /** As LevelStore's. */
  forgetLanes(beforeUs: number): Promise<number> {
    const { gone, table } = this.options
    return this.goneTurns.take(async () => {
      const old = [...table.values()].filter(
        ({ held, lastIngestUs, trimmedUs }) =>
          held.isEmpty && Math.max(lastIngestUs, trimmedUs) < beforeUs,
      )
      if (old.length === 0) return 0
      await gone.delete(old.map(({ key }) => key))
      for (const state of old) table.delete(state)
      table.version += 1
      return old.length
    })
  }

  /** Work that begins when no bucket is being reshaped. */
  afterAll<T>(work: () => Promise<T>): Promise<T> {
    return this.turns.take(work)
  }

  /** Adds to `held` what the block file has of each lane. */
  private async compactGroup(
    bucket: Bucket,
    segments: readonly number[],
    held: Map<LaneKey, IntervalSet>,
  ): Promise<void> {
    const { closed, schemas } = this.options
    const { directory, startMs } = bucket
    const { number, unfinished } = bucket.nextBlockFile()
    const made = await compactInThread(
      {
        directory,
        startMs,
        segments,
        file: unfinished,
        schemas: schemas.list().map(({ json }) => json),
      },
      closed,
    )
    await bucket.adoptBlocks(number, segments, made)
    for (const [key, { runs }] of made.lanes) {
      held.set(key, (held.get(key) ?? new IntervalSet()).or(new IntervalSet(runs)))
    }
  }

  /** False, and nothing happened, when frames came to it since its lanes were read. */
  private async removeBucket(
    bucket: Bucket,
    lanes: ReadonlyMap<LaneKey, BucketLane>,
    nowUs: number,
  ): Promise<boolean> {
    if (bucket.lanes !== undefined) return false
    const { buckets, damage, table } = this.options
    buckets.delete(bucket)
    table.version += 1
    for (const part of lanes.values()) {
      const state = table.take(part.key)
      state.trimBucket(bucket.id, part, nowUs)
      state.changedAt = table.version
    }
    damage.retain((key, sequence) => table.get(key)?.trimmed.has(sequence) !== true)
    await bucket.remove()
    return true
  }
}
