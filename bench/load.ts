// What is published in one run: by how many, how fast, in which form.

/**
 * native: what each system's users send: Skein its frames, the others a sample of JSON a message.
 * frame: the same bytes for all: Skein's frames. json, protobuf: that encoding for all.
 */
export const FORMS = ['native', 'frame', 'json', 'protobuf'] as const
export type Form = (typeof FORMS)[number]

/**
 * fleet: vehicles with five numbers. trucks: with seven, as in the Time Series Benchmark Suite. bus: smart
 * buses with their passengers. blocks: 5 KB of rows a sample, as a gateway bundles them.
 */
export const READING_KINDS = ['fleet', 'trucks', 'bus', 'blocks'] as const
/** recording: what was read of a recorded file (recording.ts). */
export type ReadingKind = (typeof READING_KINDS)[number] | 'recording'

/** sqlite: a database, a transaction a batch. csv: a file, a write a batch. One sync a batch for both. */
export const SINK_KINDS = ['sqlite', 'csv'] as const
export type SinkKind = (typeof SINK_KINDS)[number]

export interface Load {
  readonly form: Form
  /** Default fleet. */
  readonly readings?: ReadingKind
  readonly samplesPerFrame: number
  readonly sources: number
  /** Processes that publish, and the subscribers, each in a process of its own that gets everything. */
  readonly publishers: number
  readonly subscribers: number
  /** Where subscribers persist what they get; a sample has arrived once it is there. Default: nowhere. */
  readonly sink?: SinkKind
  /** Samples/s of all publishers together. Absent: as fast as receipts come, within the bound in flight. */
  readonly rate?: number
  readonly schedule: Schedule
  readonly warmupSeconds: number
  readonly seconds: number
  readonly seed: number
}

export type Schedule = 'poisson' | 'fixed'
