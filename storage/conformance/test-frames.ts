// Frames for tests of stores: small, with a body that tells them apart, under names like real ones.
import { createHash } from 'node:crypto'
import { encodeFrame, openFrame, NO_SCHEMA, SeededRandom } from '../../mesh/index.ts'
import type { Epoch, Frame } from '../../mesh/index.ts'
import type { FrameRange, FrameStore, StoredFrame } from '../frame-store.ts'

/** 2026-01-01T00:00:00Z, at the start of a bucket. */
export const START_US = 1_767_225_600_000_000
export const HOUR_US = 3_600_000_000

export interface TestFrame {
  readonly kind?: Frame['kind']
  readonly source?: string
  readonly stream?: string
  readonly epoch?: Epoch
  readonly sequence?: number
  readonly firstUs?: number
  readonly lastUs?: number
  readonly count?: number
  readonly ingestUs?: number
  readonly body?: string
}

export const EPOCHS = ['019b76da7fdc0001', '019b76da7fdc0002', '019b76da8fdc0003'] as Epoch[]

export function testFrame(of: TestFrame = {}): StoredFrame {
  const { kind = 'data', sequence = 1, ingestUs = START_US } = of
  const firstUs = of.firstUs ?? START_US + sequence * 1000
  const body = of.body ?? (kind === 'data' ? `${of.source ?? ''} ${sequence} `.repeat(5) : '')
  const bytes = encodeFrame(
    {
      kind,
      codec: kind === 'end' ? 'none' : kind === 'skip' ? 'json' : 'msgpack',
      source: of.source ?? 'VH001',
      stream: of.stream ?? 'vehicle.motion',
      epoch: of.epoch ?? EPOCHS[0]!,
      sequence,
      firstUs,
      lastUs: of.lastUs ?? firstUs,
      count: of.count ?? (kind === 'data' ? 1 : 0),
      schemaId: NO_SCHEMA,
    },
    Buffer.from(body),
  )
  return { frame: openFrame(bytes), ingestUs }
}

/** Frames 1 to `count` of one lane. */
export function testRun(count: number, of: TestFrame = {}): StoredFrame[] {
  return Array.from({ length: count }, (_, i) =>
    testFrame({ ...of, sequence: (of.sequence ?? 1) + i }),
  )
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** What a test compares: names, times and a hash of the bytes. */
export function plain(frames: readonly StoredFrame[]): string[] {
  return frames.map(
    ({ frame, ingestUs }) =>
      `${frame.stream} ${frame.source} ${frame.epoch} ${frame.sequence} at ${ingestUs}: ` +
      createHash('sha256').update(frame.bytes).digest('hex').slice(0, 16),
  )
}

/** A sequence of numbers in [0, 1) that a seed decides. */
export function seeded(seed: number): () => number {
  const random = new SeededRandom(seed)
  return () => random.next()
}

/** What a scan finds, where nothing is kept as columns: bodies of test frames are none. */
export async function scanFrames(store: FrameStore, range: FrameRange): Promise<StoredFrame[]> {
  return (await collect(store.scan(range))).map((item) => {
    if ('frame' in item) return item
    throw new Error(`a block of ${item.frames.length} frames`)
  })
}
