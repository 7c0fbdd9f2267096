// Rates from counts that only grow, each over the time since a second or more before.

interface Meter {
  atMs: number
  total: number
  perSecond: number
}

/** Shorter, and a rate of one sample a second would read as 0 and 2 in turn. */
const LEAST_MS = 950

export class Rates {
  private readonly meters = new Map<string, Meter>()

  /** As `of` last said. */
  last(name: string): number {
    return this.meters.get(name)?.perSecond ?? 0
  }

  /** Per second. A count that has begun anew, with its process, counts from zero. */
  of(name: string, total: number, nowMs: number = performance.now()): number {
    const meter = this.meters.get(name)
    if (meter === undefined) {
      this.meters.set(name, { atMs: nowMs, total, perSecond: 0 })
      return 0
    }
    const elapsedMs = nowMs - meter.atMs
    if (elapsedMs < LEAST_MS) return meter.perSecond
    const grown = total < meter.total ? total : total - meter.total
    meter.perSecond = (grown * 1000) / elapsedMs
    meter.atMs = nowMs
    meter.total = total
    return meter.perSecond
  }
}
