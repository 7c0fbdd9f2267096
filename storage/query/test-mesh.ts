// For the tests of query/, http/ and repair: frames made by hand, stores in memory, and a mesh of
// them where each can be told to fail.
import {
  codecFor,
  compileSchema,
  encodeFrame,
  NO_SCHEMA,
  openFrame,
  systemClock,
  type Epoch,
  type Frame,
  type FrameHeader,
  type LaneKey,
  type Sample,
  type Schema,
  type SchemaId,
  type StoreId,
} from '../../mesh/index.ts'
import { MemoryStore } from '../conformance/memory-store.ts'
import type { StoredFrame } from '../frame-store.ts'
import { Asker } from './asker.ts'
import { LocalPeer } from './local-peer.ts'
import type { Member, QueryPeer, ScanEvent } from './peer.ts'
import { comparePositions, type Row } from './row.ts'
import type { LatestTable } from '../latest.ts'

export const STREAM = 'vehicle.motion'
export const T0 = 1_751_803_200_000_000

export const schema: Schema = compileSchema({
  type: 'object',
  properties: { speed: { type: 'number', 'x-unit': 'km/h' }, state: { type: 'string' } },
})
export const schemaOf = (id: SchemaId): Schema | undefined =>
  id === schema.id ? schema : undefined

export function storeId(n: number): StoreId {
  return n.toString(16).padStart(16, '0') as StoreId
}

export function epochOf(n: number): Epoch {
  return n.toString(16).padStart(16, '0') as Epoch
}

export interface FrameName {
  readonly source: string
  readonly epoch: Epoch
  readonly sequence: number
}

export function dataFrame(name: FrameName, samples: readonly Sample[], stream = STREAM): Frame {
  const times = samples.map(({ timeUs }) => timeUs)
  const header: FrameHeader = {
    ...name,
    stream,
    kind: 'data',
    codec: 'columnar',
    schemaId: schema.id,
    firstUs: Math.min(...times),
    lastUs: Math.max(...times),
    count: samples.length,
  }
  return openFrame(encodeFrame(header, codecFor('columnar').encode(samples, schema)))
}

/** One that its publisher encoded wrongly. */
export function undecodableFrame(name: FrameName, timeUs: number): Frame {
  const { source, stream, epoch, sequence, codec, schemaId, count } = dataFrame(name, [
    { timeUs, fields: { speed: 1 } },
  ])
  const names = { source, stream, epoch, sequence, kind: 'data' } as const
  const header = { ...names, codec, schemaId, count, firstUs: timeUs, lastUs: timeUs }
  return openFrame(encodeFrame(header, Buffer.from('no such body')))
}

export function endFrame({ source, epoch, sequence }: FrameName, stream = STREAM): Frame {
  return controlFrame({ source, epoch, sequence }, stream, 'end', '')
}

export function skipFrame(name: FrameName, runs: readonly (readonly number[])[]): Frame {
  return controlFrame(name, STREAM, 'skip', JSON.stringify({ runs }))
}

function controlFrame(name: FrameName, stream: string, kind: 'end' | 'skip', body: string): Frame {
  const header: FrameHeader = {
    ...name,
    stream,
    kind,
    codec: kind === 'end' ? 'none' : 'json',
    schemaId: NO_SCHEMA,
    firstUs: 0,
    lastUs: 0,
    count: 0,
  }
  return openFrame(encodeFrame(header, Buffer.from(body)))
}

/** A latest table worked out by looking at everything: the oracle of the real one. */
export class ScannedLatest implements LatestTable {
  private readonly frames: () => Iterable<Frame>

  constructor(frames: () => Iterable<Frame>) {
    this.frames = frames
  }

  /** Nothing when the newest frame cannot be decoded, whatever came before it. */
  get(stream: string, source: string): Row | undefined {
    const isMine = (frame: Frame): boolean =>
      frame.kind === 'data' && frame.stream === stream && frame.source === source
    const newest = [...this.frames()].filter(isMine).sort(compareAges).at(-1)
    try {
      return rowsOfFrames(newest === undefined ? [] : [newest]).at(-1)
    } catch {
      return undefined
    }
  }
}

function compareAges(a: Frame, b: Frame): number {
  if (a.lastUs !== b.lastUs) return a.lastUs - b.lastUs
  if (a.epoch !== b.epoch) return a.epoch < b.epoch ? -1 : 1
  return a.sequence - b.sequence
}

/** Every sample of the frames as a row, in order. */
export function rowsOfFrames(frames: Iterable<Frame>): Row[] {
  const rows: Row[] = []
  for (const frame of frames) {
    if (frame.kind !== 'data') continue
    const { source, epoch, sequence } = frame
    const samples = codecFor(frame.codec).decode(frame.body, frame.count, schema)
    rows.push(...samples.map((sample, index) => ({ ...sample, source, epoch, sequence, index })))
  }
  return rows.sort(comparePositions)
}

/** One store of a test mesh. */
export class TestStore {
  readonly store = new MemoryStore()
  readonly frames: Frame[] = []
  readonly id: StoreId
  readonly peer: LocalPeer
  /** Fails every call. */
  isDown = false
  /** The store stops in the middle of a scan, after this many events. */
  diesAfterEvents = Number.POSITIVE_INFINITY
  notCounted: string | undefined

  constructor(id: StoreId, members: () => readonly Member[]) {
    this.id = id
    this.peer = new LocalPeer({
      storeId: id,
      life: 'a',
      store: this.store,
      schemaOf,
      members,
      latest: new ScannedLatest(() => this.frames),
      notCounted: () => this.notCounted,
    })
  }

  async hold(frames: readonly Frame[], ingestUs = T0): Promise<void> {
    const fresh = frames.filter((frame) => !this.has(frame.laneKey, frame.sequence))
    this.frames.push(...fresh)
    await this.store.append(fresh.map((frame): StoredFrame => ({ frame, ingestUs })))
  }

  has(key: LaneKey, sequence: number): boolean {
    return this.store.lane(key)?.held.has(sequence) ?? false
  }

  /** As an asker meets it. */
  asPeer(): QueryPeer {
    return {
      digest: async (request) => {
        if (this.isDown) throw new Error('connection refused')
        return await this.peer.digest(request)
      },
      streams: () => this.peer.streams(),
      scan: (request, signal) => this.dying(this.peer.scan(request, signal)),
    }
  }

  private async *dying(events: AsyncIterable<ScanEvent>): AsyncGenerator<ScanEvent> {
    let count = 0
    for await (const event of events) {
      if (this.isDown || count++ >= this.diesAfterEvents) throw new Error('connection reset')
      yield event
    }
    if (this.isDown || count >= this.diesAfterEvents) throw new Error('connection reset')
  }
}

/** Stores that know each other, and an asker that knows the first of them. */
export class TestMesh {
  readonly stores: TestStore[]
  readonly asker: Asker
  nowUs = T0

  constructor(size: number, writeQuorum = Math.min(2, size)) {
    const members = (): Member[] =>
      Array.from({ length: size }, (_, i) => {
        const state = 'member' as const
        return { storeId: storeId(i + 1), state, http: `http://${i}` }
      })
    this.stores = Array.from({ length: size }, (_, i) => new TestStore(storeId(i + 1), members))
    this.asker = new Asker({
      stores: () => ({ members: members(), writeQuorum }),
      clock: { ...systemClock, nowUs: () => this.nowUs },
      connect: (http) => this.stores[Number(http.slice(7))]!.asPeer(),
    })
  }
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
