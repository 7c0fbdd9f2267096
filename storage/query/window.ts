// How a store answers in the query's order with bounded memory, over any number of sources: window by
// window. A window's rows are gathered source after source; when they exceed the budget, the window
// is cut back to the half that comes first, and the sources still to read are read only that far.
// The next window begins where this one ended. So no source needs an open iterator while others are
// read, and ascending and descending are the same code.
//
//   asc    |== gathered and sorted ==|-- cut: read again by the next window --| … to
//   desc   from … |-- cut --|== gathered and sorted ==|
import type { Order } from './query.ts'

export interface TimeRange {
  readonly fromUs: number
  readonly toUs: number
}

/** Takes what is read and gives it back sorted. Weight is in values, roughly 16 bytes each. */
export interface Gathering<T> {
  readonly weight: number
  /**
   * Keeps what comes first, about half the weight and at least one time, and drops the rest.
   * Returns the last time kept.
   */
  cut(): number
  drain(): T[]
}

/** The window being gathered. It shrinks, never grows. */
export class Window {
  fromUs: number
  toUs: number
  isCut = false
  readonly order: Order
  private readonly stepUs: number
  private weightMax: number

  /** `stepUs`: the width of what has one time: a bucket, or 1 for samples. */
  constructor(range: TimeRange, order: Order, stepUs: number, weightMax: number) {
    this.fromUs = range.fromUs
    this.toUs = range.toUs
    this.order = order
    this.stepUs = stepUs
    this.weightMax = weightMax
  }

  has(timeUs: number): boolean {
    return timeUs >= this.fromUs && timeUs < this.toUs
  }

  /** Cuts the window back when it holds more than it may. */
  fit(gathering: Gathering<unknown>): void {
    if (gathering.weight <= this.weightMax) return
    const lastUs = gathering.cut()
    if (this.order === 'asc') this.toUs = Math.min(this.toUs, lastUs + this.stepUs)
    else this.fromUs = Math.max(this.fromUs, lastUs)
    this.isCut = true
    // All at one moment: it cannot be divided, so let it be, rather than try again for every row.
    if (gathering.weight > this.weightMax / 2) this.weightMax = gathering.weight * 2
  }
}

export interface WindowPlan extends TimeRange {
  readonly order: Order
  readonly stepUs: number
  /** Most a window may hold before it is cut. */
  readonly weightMax: number
  /** Width of the first window. */
  readonly firstSpanUs: number
  /** About where the data begins and ends. Only speed depends on it. */
  readonly oldestUs: number
  readonly newestUs: number
}

/** Gathers window after window until the range is done; yields each window's share, sorted. */
export async function* windows<T extends { readonly timeUs: number }>(
  plan: WindowPlan,
  gather: (window: Window) => Promise<{ items: T[]; weight: number }>,
): AsyncGenerator<T[]> {
  const { order, stepUs, weightMax } = plan
  let left: TimeRange = plan
  let spanUs = plan.firstSpanUs
  while (left.fromUs < left.toUs) {
    const window = new Window(nextRange(plan, left, spanUs), order, stepUs, weightMax)
    const { items, weight } = await gather(window)
    if (items.length > 0) yield items
    spanUs = nextSpan(window, items[0]?.timeUs, spanUs, weight / weightMax)
    left =
      order === 'asc'
        ? { fromUs: window.toUs, toUs: left.toUs }
        : { fromUs: left.fromUs, toUs: window.fromUs }
  }
}

/**
 * Of what is left, so much. The first window takes along what lies before the data was thought to
 * begin: looking where nothing is costs little. So does the last ascending one, behind the newest.
 */
function nextRange(plan: WindowPlan, left: TimeRange, spanUs: number): TimeRange {
  const { order, stepUs, oldestUs, newestUs } = plan
  const { fromUs, toUs } = left
  if (order === 'asc') {
    const nearUs = fromUs === plan.fromUs ? Math.max(fromUs, oldestUs) : fromUs
    const edgeUs = Math.ceil((nearUs + spanUs) / stepUs) * stepUs
    return { fromUs, toUs: edgeUs > newestUs ? toUs : Math.min(toUs, edgeUs) }
  }
  const nearUs = toUs === plan.toUs ? Math.min(toUs, newestUs + 1) : toUs
  const edgeUs = Math.floor((nearUs - spanUs) / stepUs) * stepUs
  return { fromUs: Math.max(fromUs, edgeUs), toUs }
}

/** After a cut, twice what there was room for; else longer, the emptier the window was. */
function nextSpan(
  window: Window,
  firstUs: number | undefined,
  spanUs: number,
  fullness: number,
): number {
  if (!window.isCut || firstUs === undefined) {
    return Math.min(Number.MAX_SAFE_INTEGER, spanUs * (fullness < 0.1 ? 8 : 2))
  }
  const nearUs = window.order === 'asc' ? window.toUs : window.fromUs
  return Math.max(1, Math.abs(nearUs - firstUs)) * 2
}

/** The last time to keep: what comes before half the weight, but never less than the first time. */
export function cutTime(
  sorted: Iterable<{ timeUs: number; weight: number }>,
  half: number,
): number {
  let lastKept: number | undefined
  let current: number | undefined
  let weight = 0
  for (const item of sorted) {
    if (item.timeUs !== current) {
      lastKept = current
      current = item.timeUs
    }
    weight += item.weight
    if (weight > half && lastKept !== undefined) return lastKept
  }
  return lastKept ?? current ?? 0
}
