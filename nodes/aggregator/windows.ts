// Tumbling windows in event time, per source: [0, every), [every, 2 * every) … since the Unix epoch.
//
//   watermark of a source = its greatest event time so far - lateness
//
//   ──────┬───────────┬───────────┬────────────► event time
//   closed│  open     │  open     │
//         │       ▲ watermark   ▲ greatest event time
//         └ closedUntil: the last boundary at or below the watermark
//
// A window is emitted once, when the watermark of its source reaches its end; a sample for a closed
// window is late: counted, dropped, never a second result. A source from which no sample was accepted
// for `idleUs` of arrival time has all its windows closed, or a parked vehicle would hold its last
// one open for ever. Sources do not wait for each other.
//
// Callers pass arrival times that do not run backwards; when the host's clock is set back, silent
// sources are noticed that much later.
import type { Sample } from '../../mesh/index.ts'
import { Accumulator, type Aggregate } from './accumulator.ts'
import {
  AHEAD_US_MAX,
  newCounters,
  NO_RESULTS,
  SOURCES_MAX,
  type Operator,
  type OperatorCounters,
  type Result,
} from './operator.ts'

export interface WindowDefinition {
  readonly name: string
  readonly stream: string
  readonly output: string
  readonly everyUs: number
  /** How much older than its source's newest sample a sample may be. */
  readonly latenessUs: number
  /** Silence after which a source's windows close, in arrival time. */
  readonly idleUs: number
  readonly fields: readonly string[]
  readonly aggregates: readonly Aggregate[]
}

export interface WindowLimits {
  /** When reached, the source not heard for longest is forgotten, its windows emitted as they stand. */
  readonly sourcesMax: number
  /** When reached, the source's oldest window is emitted as it stands. */
  readonly windowsPerSourceMax: number
  /** When reached, all windows of the source not heard for longest are emitted as they stand. */
  readonly windowsMax: number
  /** A sample further ahead of its arrival is dropped. */
  readonly aheadUsMax: number
}

/** A window of four fields takes about 500 bytes, so 100,000 of them 50 MB. */
export const WINDOW_LIMITS: WindowLimits = {
  sourcesMax: SOURCES_MAX,
  windowsPerSourceMax: 1_002,
  windowsMax: 100_000,
  aheadUsMax: AHEAD_US_MAX,
}

export interface WindowCounters extends OperatorCounters {
  /** Results emitted before the watermark got there: because of silence, a limit, or shutdown. */
  idleResults: number
  forcedResults: number
  drainedResults: number
}

type EarlyClose = 'idleResults' | 'forcedResults' | 'drainedResults'

/** One source's state. `panes` are its open windows by start. */
interface SourceWindows {
  readonly source: string
  greatestUs: number
  closedUntilUs: number
  acceptedAtUs: number
  readonly panes: Map<number, readonly Accumulator[]>
}

export class TumblingWindows implements Operator {
  readonly stream: string
  readonly output: string
  readonly counters: WindowCounters = {
    ...newCounters(),
    idleResults: 0,
    forcedResults: 0,
    drainedResults: 0,
  }
  private readonly definition: WindowDefinition
  private readonly limits: WindowLimits
  /** Sources with open windows, the one not heard for longest first. */
  private readonly active = new Map<string, SourceWindows>()
  /** Sources without; kept to tell late samples. The longest quiet first. */
  private readonly quiet = new Map<string, SourceWindows>()
  private openWindows = 0
  /** No window of a forgotten source reaches beyond this, so none can be emitted twice. */
  private forgottenUntilUs = 0

  constructor(definition: WindowDefinition, limits: Partial<WindowLimits> = {}) {
    this.definition = definition
    this.limits = { ...WINDOW_LIMITS, ...limits }
    this.stream = definition.stream
    this.output = definition.output
    checkDefinition(definition, this.limits)
  }

  add(source: string, sample: Sample, nowUs: number): readonly Result[] {
    this.counters.samples += 1
    const { timeUs } = sample
    if (timeUs > nowUs + this.limits.aheadUsMax) {
      this.counters.futureSamples += 1
      return NO_RESULTS
    }
    const results: Result[] = []
    const state = this.stateOf(source, results)
    if (timeUs > state.greatestUs) this.moveWatermark(state, timeUs, results)
    const pane = this.paneOf(state, timeUs - (timeUs % this.definition.everyUs), results)
    if (pane === undefined) this.counters.lateSamples += 1
    else this.accumulate(pane, sample)
    this.file(state, pane === undefined ? undefined : nowUs)
    return results
  }

  advance(nowUs: number): readonly Result[] {
    const results: Result[] = []
    for (const state of this.active.values()) {
      if (state.acceptedAtUs + this.definition.idleUs > nowUs) break
      this.closeAll(state, 'idleResults', results)
    }
    return results
  }

  drain(): readonly Result[] {
    const results: Result[] = []
    for (const state of this.active.values()) this.closeAll(state, 'drainedResults', results)
    return results
  }

  /** Windows not yet emitted, over all sources. */
  get openCount(): number {
    return this.openWindows
  }

  private stateOf(source: string, results: Result[]): SourceWindows {
    const known = this.active.get(source) ?? this.quiet.get(source)
    if (known !== undefined) return known
    if (this.active.size + this.quiet.size >= this.limits.sourcesMax) this.forgetOne(results)
    return {
      source,
      greatestUs: 0,
      closedUntilUs: this.forgottenUntilUs,
      acceptedAtUs: 0,
      panes: new Map(),
    }
  }

  private forgetOne(results: Result[]): void {
    if (this.quiet.size === 0) this.closeAll(first(this.active), 'forcedResults', results)
    const state = first(this.quiet)
    this.quiet.delete(state.source)
    this.forgottenUntilUs = Math.max(this.forgottenUntilUs, state.closedUntilUs)
    this.counters.forgottenSources += 1
  }

  /** The open window at `startUs`, opened when need be; undefined when it is closed. */
  private paneOf(
    state: SourceWindows,
    startUs: number,
    results: Result[],
  ): readonly Accumulator[] | undefined {
    if (startUs < state.closedUntilUs) return undefined
    const open = state.panes.get(startUs)
    if (open !== undefined) return open
    this.makeRoom(state, startUs, results)
    if (startUs < state.closedUntilUs) return undefined
    const pane = this.definition.fields.map(() => new Accumulator())
    state.panes.set(startUs, pane)
    this.openWindows += 1
    return pane
  }

  private makeRoom(state: SourceWindows, startUs: number, results: Result[]): void {
    if (state.panes.size >= this.limits.windowsPerSourceMax) {
      const oldestUs = Math.min(startUs, ...state.panes.keys())
      this.close(state, oldestUs + this.definition.everyUs, 'forcedResults', results)
      if (startUs < state.closedUntilUs) return
    }
    // To the back of the row, so that a source makes room with others' windows before its own.
    if (this.active.delete(state.source)) this.active.set(state.source, state)
    while (this.openWindows >= this.limits.windowsMax) {
      this.closeAll(first(this.active), 'forcedResults', results)
    }
  }

  private accumulate(pane: readonly Accumulator[], { fields }: Sample): void {
    for (const [index, field] of this.definition.fields.entries()) {
      const value = Object.hasOwn(fields, field) ? fields[field] : undefined
      if (typeof value === 'number' && Number.isFinite(value)) pane[index]!.add(value)
      else if (value !== undefined) this.counters.skippedValues += 1
    }
  }

  private moveWatermark(state: SourceWindows, timeUs: number, results: Result[]): void {
    state.greatestUs = timeUs
    const watermarkUs = Math.max(0, timeUs - this.definition.latenessUs)
    this.close(state, watermarkUs - (watermarkUs % this.definition.everyUs), undefined, results)
  }

  private closeAll(state: SourceWindows, why: EarlyClose, results: Result[]): void {
    const newestUs = Math.max(...state.panes.keys())
    this.close(state, newestUs + this.definition.everyUs, why, results)
    this.active.delete(state.source)
    this.quiet.set(state.source, state)
  }

  /** Emits, in order, the windows that end at or before `untilUs`; later samples for them are late. */
  private close(
    state: SourceWindows,
    untilUs: number,
    why: EarlyClose | undefined,
    results: Result[],
  ): void {
    if (untilUs <= state.closedUntilUs) return
    state.closedUntilUs = untilUs
    const starts = [...state.panes.keys()].filter((startUs) => startUs < untilUs)
    for (const startUs of starts.sort((a, b) => a - b)) {
      results.push(this.resultOf(state.source, startUs, state.panes.get(startUs)!))
      state.panes.delete(startUs)
    }
    this.openWindows -= starts.length
    this.counters.results += starts.length
    if (why !== undefined) this.counters[why] += starts.length
  }

  private resultOf(source: string, startUs: number, pane: readonly Accumulator[]): Result {
    const fields: Record<string, number> = { window_end_us: startUs + this.definition.everyUs }
    for (const [index, field] of this.definition.fields.entries()) {
      for (const aggregate of this.definition.aggregates) {
        const value = pane[index]!.value(aggregate)
        if (value !== undefined) fields[`${field}_${aggregate}`] = value
      }
    }
    return { source, timeUs: startUs, fields }
  }

  /**
   * Puts a source where it belongs: one whose sample was accepted last of the active, one with
   * nothing open among the quiet. Late samples are no sign of life, or a source that sends nothing
   * else would keep its windows open.
   */
  private file(state: SourceWindows, acceptedAtUs: number | undefined): void {
    if (acceptedAtUs !== undefined) {
      state.acceptedAtUs = acceptedAtUs
      this.quiet.delete(state.source)
      this.active.delete(state.source)
      this.active.set(state.source, state)
    } else if (state.panes.size === 0) {
      this.active.delete(state.source)
      this.quiet.set(state.source, state)
    }
  }
}

function first(states: ReadonlyMap<string, SourceWindows>): SourceWindows {
  const [state] = states.values()
  if (state === undefined) throw new RangeError('no source to make room with')
  return state
}

function checkDefinition(definition: WindowDefinition, limits: WindowLimits): void {
  const { everyUs, latenessUs, idleUs } = definition
  if (!Number.isSafeInteger(everyUs) || everyUs < 1) throw new RangeError(`everyUs is ${everyUs}`)
  if (!(latenessUs >= 0)) throw new RangeError(`latenessUs is ${latenessUs}`)
  if (!(idleUs > 0)) throw new RangeError(`idleUs is ${idleUs}`)
  const { sourcesMax, windowsPerSourceMax, windowsMax } = limits
  if (!(sourcesMax >= 1 && windowsPerSourceMax >= 1 && windowsPerSourceMax <= windowsMax)) {
    throw new RangeError(
      `limits: ${windowsPerSourceMax} windows a source, ${windowsMax} in all, ${sourcesMax} sources`,
    )
  }
}
