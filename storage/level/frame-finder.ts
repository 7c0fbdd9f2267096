// Finds frames in the buckets of a store and reads them. What it cannot read is damage: noted in its
// bucket, taken off the lane, and listed.
import { IntervalSet, laneKey, type LaneKey } from '../../mesh/index.ts'
import type { StoredBlock, StoredFrame } from '../frame-store.ts'
import type { BlockPlace } from './blocks/block-files.ts'
import type { BucketTable } from './bucket-table.ts'
import type { Bucket } from './bucket.ts'
import type { DamageList } from './damage-list.ts'
import type { LaneState } from './lane-state.ts'
import type { LaneTable } from './lane-table.ts'
import type { FramePlace, Location, Search } from './location.ts'
import { eachOf, pagesOf } from './pages.ts'

export interface FrameFinderParts {
  readonly lanes: LaneTable
  readonly buckets: BucketTable
  readonly damage: DamageList
}

/** A frame of a lane, and which bucket has it where. */
export interface Located {
  readonly state: LaneState
  readonly bucket: Bucket
  readonly location: Location
}

export const ALL_TIME = { fromUs: -Infinity, toUs: Infinity }
export const ALL_SEQUENCES = { fromSequence: 1, toSequence: Infinity }
/** Frames read at the same time: the thread pool has four threads, some more keep them busy. */
const READS_AT_ONCE = 16

export class FrameFinder {
  private readonly lanes: LaneTable
  private readonly buckets: BucketTable
  private readonly damage: DamageList

  constructor({ lanes, buckets, damage }: FrameFinderParts) {
    this.lanes = lanes
    this.buckets = buckets
    this.damage = damage
  }

  /** Where the frames that pass stand, by sequence; of two copies the one that is newer in its bucket. */
  async locate(state: LaneState, search: Search, wanted = Infinity): Promise<Map<number, Located>> {
    const found = new Map<number, Located>()
    const buckets = this.buckets.warm().filter(({ lanes }) => lanes!.has(state.key))
    for (const id of state.extents.overlapping(search)) {
      const bucket = this.buckets.get(id)
      if (bucket !== undefined) buckets.push(bucket)
    }
    // The newest bucket first: what is asked for twice is most often recent.
    for (const bucket of buckets.sort((a, b) => b.startMs - a.startMs)) {
      if (found.size >= wanted) break
      const { locations, unreadable } = await bucket.find(state.key, search, wanted - found.size)
      for (const location of locations) {
        const { sequence } = location
        if (!state.held.has(sequence) || found.has(sequence)) continue
        found.set(sequence, { state, bucket, location })
      }
      for (const { place, reason } of unreadable) await this.noteBlock(bucket, place, reason)
      await this.noteLosses(bucket)
    }
    return found
  }

  /** The wanted frames of a lane that can be read, by sequence. */
  async *read(state: LaneState, wanted: IntervalSet): AsyncGenerator<StoredFrame> {
    for (const page of pagesOf(wanted)) {
      const search = { ...ALL_TIME, fromSequence: page.first, toSequence: page.last }
      const found = await this.locate(state, search, page.size)
      yield* this.readAll(
        [...found.values()].sort((a, b) => a.location.sequence - b.location.sequence),
      )
      if (found.size >= page.size) continue
      for (const sequence of eachOf(wanted, page.first, page.last)) {
        // Named as held, yet neither the index nor, read anew, the files know where.
        if (!found.has(sequence)) this.forget(state, sequence, 0, 'not in the index')
      }
    }
  }

  /** Those in columns a block at a time, the others by themselves; each where its first frame is. */
  async *scan(located: readonly Located[]): AsyncGenerator<StoredFrame | StoredBlock> {
    let alone: Located[] = []
    for (const group of groupedByBlock(located)) {
      if (!group[0]!.location.inColumns) {
        alone.push(group[0]!)
        continue
      }
      yield* this.readAll(alone)
      alone = []
      const block = await this.readBlock(group)
      if (block !== undefined) yield block
    }
    yield* this.readAll(alone)
  }

  private async readBlock(group: readonly Located[]): Promise<StoredBlock | undefined> {
    const { bucket, location } = group[0]!
    const place = location.block!
    const sequences = new Set(group.map(({ location: { sequence } }) => sequence))
    const block = await bucket.stored(place, sequences)
    if (typeof block !== 'string') return block
    await this.noteBlock(bucket, place, block)
    return undefined
  }

  async *readAll(located: readonly Located[]): AsyncGenerator<StoredFrame> {
    for (let i = 0; i < located.length; i += READS_AT_ONCE) {
      const some = located.slice(i, i + READS_AT_ONCE)
      const frames = await Promise.all(some.map((each) => this.readOne(each)))
      for (const frame of frames) if (frame !== undefined) yield frame
    }
  }

  /** CRCs of those of the sequences that are held; one pass over the index for all of them. */
  async crcsOf(state: LaneState, sequences: readonly number[]): Promise<Map<number, number>> {
    const wanted = new Set(sequences.filter((sequence) => state.held.has(sequence)))
    const crcs = new Map<number, number>()
    if (wanted.size === 0) return crcs
    const search = {
      ...ALL_TIME,
      fromSequence: Math.min(...wanted),
      toSequence: Math.max(...wanted),
      sequences: wanted,
    }
    for (const located of (await this.locate(state, search, wanted.size)).values()) {
      const crc = located.location.crc ?? (await this.readOne(located))?.frame.crc
      if (crc !== undefined) crcs.set(located.location.sequence, crc)
    }
    return crcs
  }

  /** These of a bucket cannot be read. */
  async noteDamage(bucket: Bucket, places: readonly FramePlace[], reason: string): Promise<void> {
    // A reader that began before retention came finds nothing there; that is no damage.
    if (bucket.isRemoved || places.length === 0) return
    for (const { lane, location } of places) {
      this.forget(this.lanes.take(lane), location.sequence, location.count, reason)
      bucket.lanes?.get(lane)?.remove(location.sequence, location.count)
    }
    const notes = places.map(({ lane, location: { file, offset, sequence } }) => {
      return { segment: file, offset, lane, runs: [sequence, sequence], reason }
    })
    // Should the note not reach the disk, the next read finds the damage again.
    await bucket.noteDamage(notes).catch(() => undefined)
  }

  /** What opening the bucket again found to be gone, and is held nowhere else, is damaged. */
  async noteLosses(bucket: Bucket): Promise<void> {
    for (const { source, stream, epoch, sequence, reason } of bucket.takeLosses()) {
      const state = this.lanes.get(laneKey(source, stream, epoch))
      if (state?.held.has(sequence) !== true) continue
      const search = { ...ALL_TIME, fromSequence: sequence, toSequence: sequence }
      if ((await this.locate(state, search, 1)).size > 0) continue
      this.forget(state, sequence, 0, reason)
      bucket.lanes?.get(state.key)?.remove(sequence, 0)
    }
  }

  /** A block cannot be read: what of its span is held nowhere else is damaged. Returns how many frames. */
  async noteBlock(
    bucket: Bucket,
    { file, lane, entry }: BlockPlace,
    reason: string,
  ): Promise<number> {
    if (bucket.isRemoved) return 0
    const state = this.lanes.take(lane)
    const { firstSequence, lastSequence, offset } = entry
    const note = { segment: file, offset, lane, reason }
    // From here on it is passed over, so that what is found is elsewhere.
    await bucket.noteDamage([{ ...note, runs: [] }]).catch(() => undefined)
    const search = { ...ALL_TIME, fromSequence: firstSequence, toSequence: lastSequence }
    const elsewhere = setOf((await this.locate(state, search)).keys())
    const inside = state.held.and(new IntervalSet([firstSequence, lastSequence]))
    const lost = inside.minus(elsewhere)
    // How many samples it had, its block knew.
    this.forgetAll(bucket, lane, lost, reason)
    await bucket.noteDamage([{ ...note, runs: lost.toRuns() }]).catch(() => undefined)
    return lost.size
  }

  /** What was held in the bucket and is in none of these sets, nor anywhere else of it, had rotted. */
  async noteMissing(bucket: Bucket, kept: ReadonlyMap<LaneKey, IntervalSet>): Promise<void> {
    for (const [key, part] of bucket.lanes!) {
      const missing = part.held.minus(kept.get(key) ?? new IntervalSet())
      if (missing.isEmpty) continue
      const search = { ...ALL_TIME, fromSequence: 1, toSequence: missing.last }
      const { locations } = await bucket.find(key, search)
      const lost = missing.minus(setOf(locations.map(({ sequence }) => sequence)))
      this.forgetAll(bucket, key, lost, 'could not be read to be compacted')
    }
  }

  private async readOne(located: Located): Promise<StoredFrame | undefined> {
    const { state, bucket, location } = located
    const stored = await bucket.read(location)
    if (stored === undefined) return undefined
    if (typeof stored === 'string') {
      // Compacted meanwhile: it is elsewhere now.
      if (!bucket.isRemoved && !bucket.hasFile(location.file)) return this.readAgain(located)
      await this.noteDamage(bucket, [{ lane: state.key, location }], stored)
      return undefined
    }
    const { frame } = stored
    if (frame.laneKey === state.key && frame.sequence === location.sequence) return stored
    await this.noteDamage(bucket, [{ lane: state.key, location }], 'another frame stands there')
    return undefined
  }

  private async readAgain({
    state,
    location: { sequence },
  }: Located): Promise<StoredFrame | undefined> {
    const search = { ...ALL_TIME, fromSequence: sequence, toSequence: sequence }
    const located = (await this.locate(state, search, 1)).get(sequence)
    return located === undefined ? undefined : this.readOne(located)
  }

  private forgetAll(bucket: Bucket, lane: LaneKey, lost: IntervalSet, reason: string): void {
    const state = this.lanes.take(lane)
    for (const sequence of eachOf(lost, 1, Infinity)) {
      this.forget(state, sequence, 0, reason)
      bucket.lanes?.get(lane)?.remove(sequence, 0)
    }
  }

  private forget(state: LaneState, sequence: number, count: number, reason: string): void {
    if (!state.held.has(sequence)) return
    state.remove(sequence, count)
    const { source, stream, epoch } = state
    this.damage.add({ source, stream, epoch, sequence, reason })
    this.lanes.changed(state)
  }
}

function setOf(sequences: Iterable<number>): IntervalSet {
  const set = new IntervalSet()
  for (const sequence of sequences) set.add(sequence)
  return set
}

function groupedByBlock(located: readonly Located[]): Located[][] {
  const groups: Located[][] = []
  const ofBlocks = new Map<string, Located[]>()
  for (const each of located) {
    const { file, offset, inColumns } = each.location
    const name = `${each.bucket.id} ${file} ${offset}`
    const known = inColumns ? ofBlocks.get(name) : undefined
    if (known !== undefined) {
      known.push(each)
      continue
    }
    const group = [each]
    groups.push(group)
    if (inColumns) ofBlocks.set(name, group)
  }
  return groups
}
