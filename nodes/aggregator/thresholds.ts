// Threshold crossings per source, on the edge: one result when a value goes above or below its
// limit, one when it returns, nothing in between. With hysteresis it has returned only once it is
// that much inside, so a value that trembles at the limit raises one alarm and not a hundred.
//
//   above ─────────────╱╲───╱╲─────────
//   above - hysteresis ╱──╲╱──╲────────      raised at the first ╱, cleared at the last ╲
//
// Order is event time: a sample older than the newest one judged is late and not judged. A sample
// that jumps from one side to the other clears the one and raises the other.
import type { Sample } from '../../mesh/index.ts'
import {
  AHEAD_US_MAX,
  newCounters,
  NO_RESULTS,
  SOURCES_MAX,
  type Operator,
  type OperatorCounters,
  type Result,
} from './operator.ts'

export interface ThresholdDefinition {
  readonly name: string
  readonly stream: string
  readonly output: string
  readonly field: string
  /** Raised by values greater than this; equal is still inside. */
  readonly above?: number
  /** Raised by values less than this. */
  readonly below?: number
  readonly hysteresis: number
}

export interface ThresholdLimits {
  /** When reached, the source not heard for longest is forgotten; if it was raised, it is raised anew. */
  readonly sourcesMax: number
  readonly aheadUsMax: number
}

export const THRESHOLD_LIMITS: ThresholdLimits = {
  sourcesMax: SOURCES_MAX,
  aheadUsMax: AHEAD_US_MAX,
}

type Side = 'inside' | 'above' | 'below'

interface SourceState {
  newestUs: number
  side: Side
}

export class Thresholds implements Operator {
  readonly stream: string
  readonly output: string
  readonly counters: OperatorCounters = newCounters()
  private readonly definition: ThresholdDefinition
  private readonly limits: ThresholdLimits
  /** The source not heard for longest first. */
  private readonly states = new Map<string, SourceState>()

  constructor(definition: ThresholdDefinition, limits: Partial<ThresholdLimits> = {}) {
    if (definition.above === undefined && definition.below === undefined) {
      throw new RangeError(`threshold ${definition.name} has neither above nor below`)
    }
    this.definition = definition
    this.limits = { ...THRESHOLD_LIMITS, ...limits }
    this.stream = definition.stream
    this.output = definition.output
  }

  add(source: string, { timeUs, fields }: Sample, nowUs: number): readonly Result[] {
    this.counters.samples += 1
    const { field } = this.definition
    const value = Object.hasOwn(fields, field) ? fields[field] : undefined
    if (value === undefined) return NO_RESULTS
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      this.counters.skippedValues += 1
      return NO_RESULTS
    }
    if (timeUs > nowUs + this.limits.aheadUsMax) {
      this.counters.futureSamples += 1
      return NO_RESULTS
    }
    const state = this.touch(source)
    if (timeUs < state.newestUs) {
      this.counters.lateSamples += 1
      return NO_RESULTS
    }
    state.newestUs = timeUs
    return this.cross(source, state, timeUs, value)
  }

  /** Silence is no crossing. */
  advance(_nowUs: number): readonly Result[] {
    return NO_RESULTS
  }

  /** An alarm is not over because its watcher stops. */
  drain(): readonly Result[] {
    return NO_RESULTS
  }

  /** Sources raised now. */
  get raisedCount(): number {
    return [...this.states.values()].filter(({ side }) => side !== 'inside').length
  }

  private cross(source: string, state: SourceState, timeUs: number, value: number): Result[] {
    const before = state.side
    const after = this.sideOf(value, before)
    if (after === before) return []
    state.side = after
    const results: Result[] = []
    const emit = (side: Side, change: 'raised' | 'cleared'): void => {
      const threshold = side === 'inside' ? undefined : this.definition[side]
      if (threshold === undefined) return
      results.push({ source, timeUs, fields: { value, threshold, state: change } })
    }
    emit(before, 'cleared')
    emit(after, 'raised')
    this.counters.results += results.length
    return results
  }

  private sideOf(value: number, before: Side): Side {
    const { above = Infinity, below = -Infinity, hysteresis } = this.definition
    if (value > above) return 'above'
    if (value < below) return 'below'
    if (before === 'above' && value > above - hysteresis) return 'above'
    if (before === 'below' && value < below + hysteresis) return 'below'
    return 'inside'
  }

  private touch(source: string): SourceState {
    const state = this.states.get(source) ?? { newestUs: 0, side: 'inside' }
    if (!this.states.delete(source) && this.states.size >= this.limits.sourcesMax) {
      const [oldest] = this.states.keys()
      if (oldest !== undefined) this.states.delete(oldest)
      this.counters.forgottenSources += 1
    }
    this.states.set(source, state)
    return state
  }
}
