// The newest sample of each (stream, source), in memory. Updated from frames once they are
// acknowledged: by the header's last event time alone, so that it costs a look-up and a small copy
// per frame; the body is decoded when somebody asks, once. A tie goes to the later epoch, then to the
// later sequence, so that all stores that hold the same frames answer alike.
import {
  laneKey,
  readFrame,
  type Epoch,
  type Frame,
  type IndexedSample,
  type LaneKey,
} from '../mesh/index.ts'
import type { FrameStore, LaneRecord, StoredFrame } from './frame-store.ts'
import type { Row } from './query/row.ts'

/** The newest sample of each (stream, source), by time and then by name. */
export interface LatestTable {
  /** The same object until there is a newer one. */
  get(stream: string, source: string): Row | undefined
}

/** What rebuilding reads; a LevelStore is one. */
export interface NewestFrames {
  /** The newest data frame of each lane. */
  newest(): Iterable<{
    readonly lane: Pick<LaneRecord, 'key' | 'stream' | 'source' | 'epoch'>
    readonly lastUs: number
    readonly sequence: number
  }>
  read(key: LaneKey, from: number, to: number): AsyncIterable<StoredFrame>
}

export interface LatestOptions {
  /**
   * The newest sample of a data frame; undefined when it cannot be had (unknown schema, body damaged):
   * asked again at the next query.
   */
  readonly newest: (frame: Frame) => IndexedSample | undefined
  /** Bytes of frames kept undecoded. A frame beyond is decoded at once and only its newest sample kept. Default 64 MiB. */
  readonly bytesMax?: number
}

/** The newest frame of one of a source's lanes. */
interface Candidate extends Age {
  readonly key: LaneKey
}

interface Slot {
  lastUs: number
  epoch: Epoch
  sequence: number
  /** The frame in the first `size` bytes of a buffer of ours, which the next frame reuses. */
  bytes: Buffer
  size: number
  /** Undefined until somebody asks. */
  row: Row | undefined
}

const BYTES_MAX = 64 << 20
/** Read side by side at the start: a frame each, from wherever on the disk it is. */
const SOURCES_AT_ONCE = 16
/** Where the newest frame of a lane is damaged: lanes are nearly in order of time. */
const LOOK_BACK_FRAMES = 64
/** Frames of one source differ a little in size: room to spare saves making a buffer for each. */
const ROUND_BYTES = 256
const NOTHING = Buffer.alloc(0)

export class Latest {
  private readonly newest: LatestOptions['newest']
  private readonly bytesMax: number
  private readonly table = new Map<string, Map<string, Slot>>()
  private heldBytes = 0

  constructor(options: LatestOptions) {
    this.newest = options.newest
    this.bytesMax = options.bytesMax ?? BYTES_MAX
  }

  /** Fills the table from what a store holds: reads one frame for each stream and source, of all or of those named. */
  async rebuild(store: NewestFrames, names?: ReadonlySet<string>): Promise<void> {
    const bySource = new Map<string, Candidate[]>()
    for (const { lane, lastUs, sequence } of store.newest()) {
      const name = sourceName(lane.stream, lane.source)
      if (names?.has(name) === false) continue
      const candidate = { key: lane.key, lastUs, epoch: lane.epoch, sequence }
      const others = bySource.get(name)
      if (others === undefined) bySource.set(name, [candidate])
      else others.push(candidate)
    }
    const sources = [...bySource.values()]
    for (let at = 0; at < sources.length; at += SOURCES_AT_ONCE) {
      const some = sources.slice(at, at + SOURCES_AT_ONCE)
      await Promise.all(some.map((candidates) => this.readNewest(store, candidates)))
    }
  }

  /** Takes in frames that have been committed; their bytes are copied where they are kept. */
  update(frames: Iterable<{ readonly frame: Frame }>): void {
    for (const { frame } of frames) {
      if (frame.kind !== 'data') continue
      let sources = this.table.get(frame.stream)
      if (sources === undefined) this.table.set(frame.stream, (sources = new Map()))
      const slot = sources.get(frame.source)
      if (slot === undefined) sources.set(frame.source, this.newSlot(frame))
      else if (isNewer(frame, slot)) this.replace(slot, frame)
    }
  }

  /** Drops what retention removed, and looks for what is the newest of those sources now. */
  async forget(store: NewestFrames & Pick<FrameStore, 'lane'>): Promise<void> {
    const forgotten = new Set<string>()
    for (const [stream, sources] of this.table) {
      for (const [source, { epoch, sequence, bytes }] of sources) {
        const lane = store.lane(laneKey(source, stream, epoch))
        if (lane?.held.has(sequence) === true) continue
        sources.delete(source)
        this.heldBytes -= bytes.length
        forgotten.add(sourceName(stream, source))
      }
    }
    if (forgotten.size > 0) await this.rebuild(store, forgotten)
  }

  get(stream: string, source: string): Row | undefined {
    const slot = this.table.get(stream)?.get(source)
    return slot === undefined ? undefined : (slot.row ?? this.open(slot))
  }

  streams(): IterableIterator<string> {
    return this.table.keys()
  }

  sources(stream: string): IterableIterator<string> {
    return (this.table.get(stream) ?? new Map<string, Slot>()).keys()
  }

  private async readNewest(store: NewestFrames, candidates: Candidate[]): Promise<void> {
    candidates.sort((a, b) => (isNewer(a, b) ? -1 : 1))
    for (const { key, sequence } of candidates) {
      if (await this.readInto(store, key, sequence, sequence)) return
      // Damaged: the newest is now among those before it, or in another lane.
      await this.readInto(store, key, Math.max(1, sequence - LOOK_BACK_FRAMES), sequence - 1)
    }
  }

  private async readInto(
    store: NewestFrames,
    key: LaneKey,
    from: number,
    to: number,
  ): Promise<boolean> {
    let isThere = false
    for await (const stored of store.read(key, from, to)) {
      this.update([stored])
      isThere = true
    }
    return isThere
  }

  private newSlot(frame: Frame): Slot {
    const slot = {
      lastUs: 0,
      epoch: frame.epoch,
      sequence: 0,
      bytes: NOTHING,
      size: 0,
      row: undefined,
    }
    this.replace(slot, frame)
    return slot
  }

  /** Copies the frame: its own bytes would hold on to the slab of a whole batch. */
  private replace(slot: Slot, frame: Frame): void {
    const size = frame.bytes.length
    if (size > slot.bytes.length || size * 2 < slot.bytes.length - ROUND_BYTES) {
      this.heldBytes -= slot.bytes.length
      slot.bytes = Buffer.allocUnsafeSlow(Math.ceil(size / ROUND_BYTES) * ROUND_BYTES)
      this.heldBytes += slot.bytes.length
    }
    slot.bytes.set(frame.bytes)
    slot.size = size
    slot.lastUs = frame.lastUs
    slot.epoch = frame.epoch
    slot.sequence = frame.sequence
    slot.row = undefined
    if (this.heldBytes > this.bytesMax && this.open(slot) !== undefined) {
      this.heldBytes -= slot.bytes.length
      slot.bytes = NOTHING
    }
  }

  private open(slot: Slot): Row | undefined {
    const frame = readFrame(slot.bytes.subarray(0, slot.size))
    if (typeof frame === 'string') return undefined
    const newest = this.newest(frame)
    if (newest === undefined) return undefined
    const { source, epoch, sequence } = frame
    const { timeUs, fields } = newest.sample
    const { index } = newest
    slot.row = { timeUs, source, epoch, sequence, index, fields }
    return slot.row
  }
}

function sourceName(stream: string, source: string): string {
  return `${stream}\0${source}`
}

interface Age {
  readonly lastUs: number
  readonly epoch: Epoch
  readonly sequence: number
}

function isNewer(a: Age, b: Age): boolean {
  if (a.lastUs !== b.lastUs) return a.lastUs > b.lastUs
  if (a.epoch !== b.epoch) return a.epoch > b.epoch
  return a.sequence > b.sequence
}
