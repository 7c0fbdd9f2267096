// What is sent to a store, and how much of it is made beforehand.
import { codecFor } from '../../mesh/index.ts'
import { TRUCK_SCHEMA, truckReadings } from '../../sim/index.ts'
import type { Load, ReadingKind } from '../load.ts'
import type { PayloadName } from '../options.ts'
import { baseUsNow, readingsOf } from '../readings.ts'
import { makeFrames, type FrameSet, type Turn } from './frames.ts'

export interface Payload {
  readonly readings: ReadingKind
  readonly samplesPerFrame: number
  /** Bytes a second that no system is expected to exceed: so much is made for each second. */
  readonly mostPerSecond: number
}

export const PAYLOAD_OF: Readonly<Record<PayloadName, Payload>> = {
  blocks: { readings: 'blocks', samplesPerFrame: 1, mostPerSecond: 350e6 },
  frames: { readings: 'fleet', samplesPerFrame: 100, mostPerSecond: 200e6 },
  samples: { readings: 'fleet', samplesPerFrame: 1, mostPerSecond: 60e6 },
}

export const STREAM = 'bench.store'

/** Frames of `sources` sources: so many bytes of them, or so many of each source. */
export function payloadFrames(
  path: string,
  { readings, samplesPerFrame }: Pick<Payload, 'readings' | 'samplesPerFrame'>,
  { sources, seed }: Pick<Load, 'sources' | 'seed'>,
  wanted: { readonly bytes: number } | { readonly framesEach: number },
): FrameSet {
  const baseUs = baseUsNow()
  const made = readingsOf({ readings, sources, seed }, baseUs)
  function* turns(): Generator<Turn> {
    const count = 'bytes' in wanted ? Infinity : wanted.framesEach
    for (let turn = 0; turn < count; turn++) {
      const first = turn * sources * samplesPerFrame
      yield made.sources.map((_, source) =>
        made.samples(source, first + source * samplesPerFrame, samplesPerFrame),
      )
    }
  }
  return makeFrames(
    {
      path,
      stream: STREAM,
      schema: made.schema,
      sources: made.sources,
      samplesPerFrame,
      codec: codecFor('columnar'),
      ...('bytes' in wanted && { bytesWanted: wanted.bytes }),
    },
    turns(),
  )
}

export const TRUCK_STREAM = 'truck.readings'
export const TRUCK_FRAME_ROWS = 128
/** 128 rows within the longest span of a frame, 10 minutes; with TSBS's own 10 s they exceed it. */
const TRUCK_STEP_US = 4_000_000
export const TRUCK_START_US = Date.UTC(2026, 0, 1) * 1000

/** Event time after the last row, µs. */
export const truckEndUs = (rowsEach: number): number => TRUCK_START_US + rowsEach * TRUCK_STEP_US

/** Rows of seven values, 128 a frame, as from a publisher; the trucks in turn. */
export function truckFrames(
  path: string,
  { trucks, rowsEach }: { trucks: number; rowsEach: number },
): FrameSet {
  const readings = truckReadings({
    seed: 123,
    trucks,
    rows: rowsEach,
    startUs: TRUCK_START_US,
    intervalUs: TRUCK_STEP_US,
  })
  function* turns(): Generator<Turn> {
    for (let from = 0; from < rowsEach; from += TRUCK_FRAME_ROWS) {
      yield readings.map(({ rows }) => rows.slice(from, from + TRUCK_FRAME_ROWS))
    }
  }
  return makeFrames(
    {
      path,
      stream: TRUCK_STREAM,
      schema: TRUCK_SCHEMA,
      sources: readings.map(({ source }) => source),
      samplesPerFrame: TRUCK_FRAME_ROWS,
      codec: codecFor('columnar'),
    },
    turns(),
  )
}
