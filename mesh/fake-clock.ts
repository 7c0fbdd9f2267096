// A Clock that stands still until it is told to advance, for tests and the simulator. Between two
// timers it lets everything settle that the first one set off (promises, microtasks, setImmediate),
// so that a run depends on nothing but its inputs.
import type { Clock, Timer } from './clock.ts'

interface FakeTimer {
  readonly dueMs: number
  /** Timers due at the same time fire in the order they were started. */
  readonly turn: number
  readonly callback: () => void
}

/** 2026-01-01T00:00:00Z: a plausible wall time, so that epochs and buckets look real. */
const START_US = 1_767_225_600_000_000

export class FakeClock implements Clock {
  /** A binary heap: the next timer is the first. */
  private readonly heap: FakeTimer[] = []
  private readonly cancelled = new Set<FakeTimer>()
  private elapsedMs = 0
  private turn = 0
  private wallOffsetUs: number

  constructor(startUs = START_US) {
    this.wallOffsetUs = startUs
  }

  nowUs(): number {
    return this.wallOffsetUs + Math.round(this.elapsedMs * 1000)
  }

  monotonicMs(): number {
    return this.elapsedMs
  }

  startTimer(delayMs: number, callback: () => void): Timer {
    this.turn += 1
    const timer = { dueMs: this.elapsedMs + Math.max(0, delayMs), turn: this.turn, callback }
    this.push(timer)
    return { cancel: () => this.cancelled.add(timer) }
  }

  /** Sets the wall clock forward or back; timers do not notice. */
  jumpUs(us: number): void {
    this.wallOffsetUs += us
  }

  /** Runs everything due within the next `ms`, in order, each at its own time. */
  async advance(ms: number): Promise<void> {
    const endMs = this.elapsedMs + ms
    await settle()
    for (let timer = this.nextDue(endMs); timer !== undefined; timer = this.nextDue(endMs)) {
      this.elapsedMs = timer.dueMs
      timer.callback()
      await settle()
    }
    this.elapsedMs = endMs
  }

  /** Timers not yet fired nor cancelled. */
  pendingTimers(): number {
    return this.heap.filter((timer) => !this.cancelled.has(timer)).length
  }

  private nextDue(endMs: number): FakeTimer | undefined {
    while (this.heap.length > 0 && this.heap[0]!.dueMs <= endMs) {
      const timer = this.pop()
      if (!this.cancelled.delete(timer)) return timer
    }
    return undefined
  }

  private push(timer: FakeTimer): void {
    const { heap } = this
    let index = heap.push(timer) - 1
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (isBefore(heap[parent]!, timer)) break
      heap[index] = heap[parent]!
      index = parent
    }
    heap[index] = timer
  }

  private pop(): FakeTimer {
    const { heap } = this
    const first = heap[0]!
    const last = heap.pop()!
    if (heap.length === 0) return first
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1
      if (isBefore(last, heap[child]!)) break
      heap[index] = heap[child]!
      index = child
    }
    heap[index] = last
    return first
  }
}

function isBefore(a: FakeTimer, b: FakeTimer): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.turn < b.turn)
}

/** Turns of the event loop in which what one immediate sets off may set off another. */
const SETTLING_TURNS = 3

/** All microtasks and immediates that are waiting have run, and those they led to. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < SETTLING_TURNS; turn++) await new Promise(setImmediate)
}
