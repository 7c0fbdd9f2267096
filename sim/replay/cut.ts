// Cutting a recording into frames. Which rows go into a source's n-th frame depends on the file and
// the mapping alone, never on the wall clock or on how fast anything runs: a replay that is started
// again makes the same frames under the same names, and the stores recognise every one.
//
// A frame closes when the next row of its source would make it too long, too large or too wide in
// event time, or when too many rows wait in all. Order and disorder of the recording stay as they are,
// within frames and from frame to frame.
import { FRAME_SPAN_US_MAX, type Sample } from '../../mesh/index.ts'
import type { RowSample } from './rows.ts'

/** Part of a replay's identity: change it whenever the same rows would be cut differently. */
export const CUT_VERSION = 1
export const CUT_SAMPLES_MAX = 128
/** Rows waiting in all open frames together, so that many sources do not mean much memory. */
const OPEN_SAMPLES_MAX = 262_144
/**
 * Most bytes in a frame as sampleBytes estimates them: half of FRAME_BYTES_MAX. One row alone stays
 * below it too, for rows are at most 64 Ki characters.
 */
const CUT_BYTES_MAX = 524_288

export interface CutFrame {
  readonly source: string
  /** From 1 for each source. */
  readonly index: number
  readonly samples: readonly Sample[]
  /** Least and greatest recorded time in it. */
  readonly firstUs: number
  readonly lastUs: number
  /** The latest recorded time of its source up to its last row: when it was complete. */
  readonly completedUs: number
}

export interface CutLimits {
  /** At most this many samples in a frame (default 128). */
  readonly samplesMax?: number
}

interface Open {
  samples: Sample[]
  firstUs: number
  lastUs: number
  bytes: number
}

interface SourceState {
  frames: number
  latestUs: number
}

export class Cutter {
  readonly #samplesMax: number
  /** In order of opening, which is the order they are closed in when memory or the file ends. */
  readonly #open = new Map<string, Open>()
  /**
   * Stands before the oldest open frame, for each it passes is closed at once. Kept, because a new
   * iterator would walk over every entry deleted before: quadratic, 15 s for 300,000 sources.
   */
  readonly #oldest = this.#open.entries()
  readonly #sources = new Map<string, SourceState>()
  #openSamples = 0

  constructor({ samplesMax = CUT_SAMPLES_MAX }: CutLimits = {}) {
    if (!Number.isInteger(samplesMax) || samplesMax < 1 || samplesMax > CUT_SAMPLES_MAX) {
      throw new RangeError(`samplesMax ${samplesMax} is not in 1..${CUT_SAMPLES_MAX}`)
    }
    this.#samplesMax = samplesMax
  }

  get sourceCount(): number {
    return this.#sources.size
  }

  /** Takes the next row of the file; yields the frames it completes. */
  *push({ source, sample }: Pick<RowSample, 'source' | 'sample'>): Generator<CutFrame> {
    const bytes = sampleBytes(sample)
    let open = this.#open.get(source)
    if (open !== undefined && !this.#fits(open, sample.timeUs, bytes)) {
      yield this.#close(source, open)
      open = undefined
    }
    if (open === undefined) {
      open = { samples: [], firstUs: sample.timeUs, lastUs: sample.timeUs, bytes: 0 }
      this.#open.set(source, open)
    }
    open.samples.push(sample)
    open.firstUs = Math.min(open.firstUs, sample.timeUs)
    open.lastUs = Math.max(open.lastUs, sample.timeUs)
    open.bytes += bytes
    this.#openSamples++
    if (open.samples.length === this.#samplesMax) yield this.#close(source, open)
    else if (this.#openSamples > OPEN_SAMPLES_MAX) {
      const oldest = this.#oldest.next()
      if (oldest.done !== true) yield this.#close(...oldest.value)
    }
  }

  /** The frames still open when the file has ended; nothing may be pushed after. */
  *end(): Generator<CutFrame> {
    for (const [source, open] of this.#oldest) yield this.#close(source, open)
  }

  #fits(open: Open, timeUs: number, bytes: number): boolean {
    const span = Math.max(open.lastUs, timeUs) - Math.min(open.firstUs, timeUs)
    return span <= FRAME_SPAN_US_MAX && open.bytes + bytes <= CUT_BYTES_MAX
  }

  #close(source: string, open: Open): CutFrame {
    let state = this.#sources.get(source)
    if (state === undefined) {
      state = { frames: 0, latestUs: 0 }
      this.#sources.set(source, state)
    }
    state.frames++
    state.latestUs = Math.max(state.latestUs, open.lastUs)
    this.#open.delete(source)
    this.#openSamples -= open.samples.length
    const { samples, firstUs, lastUs } = open
    return { source, index: state.frames, samples, firstUs, lastUs, completedUs: state.latestUs }
  }
}

/**
 * At least what any codec needs for a sample. JSON is the longest: it escapes a control character to
 * six bytes, and writes a double in at most 25.
 */
function sampleBytes({ fields }: Sample): number {
  let bytes = 64
  for (const name in fields) {
    const value = fields[name]
    bytes += name.length + 32 + (typeof value === 'string' ? value.length * 6 : 0)
  }
  return bytes
}
