// What every piece of stream processing looks like from outside: samples in, results out, pure logic
// without I/O or timers, so that the aggregator, the simulator and a test drive it alike. The caller
// feeds it one stream, in the order of arrival, and publishes what comes back on `output`.
//
// An operator is bounded: sources and open state have limits, and what happens at each limit is
// written at the limit and counted.
import type { Sample } from '../../mesh/index.ts'

/** A sample of a derived stream, and the source it is about. */
export interface Result extends Sample {
  readonly source: string
}

export interface Operator {
  /** The stream it reads. */
  readonly stream: string
  /** The stream its results belong to. */
  readonly output: string
  readonly counters: Readonly<OperatorCounters>
  /** `nowUs` is when the sample arrived, by the clock that advance() is called with. */
  add(source: string, sample: Sample, nowUs: number): readonly Result[]
  /** Lets time pass for sources that are silent. Call it about once a second. */
  advance(nowUs: number): readonly Result[]
  /** What is still open, as it stands, at shutdown. */
  drain(): readonly Result[]
}

export interface OperatorCounters {
  samples: number
  results: number
  /** Dropped: what they belong to has already been emitted. */
  lateSamples: number
  /** Dropped: their event time is further ahead of their arrival than clocks are wrong. */
  futureSamples: number
  /** Values that are no finite numbers; the rest of their sample counts. */
  skippedValues: number
  /** Sources whose state made room for others. */
  forgottenSources: number
}

/** How far ahead of its arrival an event time may be: one bad clock must not close everything early. */
export const AHEAD_US_MAX = 60_000_000

/** Sources an operator keeps state for; about 100 bytes each when they have nothing open. */
export const SOURCES_MAX = 100_000

export const NO_RESULTS: readonly Result[] = Object.freeze([])

export function newCounters(): OperatorCounters {
  return {
    samples: 0,
    results: 0,
    lateSamples: 0,
    futureSamples: 0,
    skippedValues: 0,
    forgottenSources: 0,
  }
}
