// Which samples have come, and when. Numbers are dense, so a bit or a time each is enough.

export class Tally {
  /** Different samples. */
  count = 0
  duplicates = 0
  /** µs on the clock of measure/clock.ts by number, 0 for none; undefined when nobody wants them. */
  readonly timesUs: Float64Array | undefined
  private bits = new Uint8Array(1 << 16)

  /** With `size` numbers known beforehand their times are kept. */
  constructor(size?: number) {
    this.timesUs = size === undefined ? undefined : new Float64Array(size)
  }

  add(number: number, atUs: number): void {
    const { timesUs } = this
    if (timesUs !== undefined) {
      // Beyond the plan: not of this run.
      if (number < 0 || number >= timesUs.length) return
      if (timesUs[number] === 0) {
        timesUs[number] = atUs
        this.count += 1
      } else this.duplicates += 1
      return
    }
    const at = number >>> 3
    if (at >= this.bits.length) this.grow(at)
    const bit = 1 << (number & 7)
    if ((this.bits[at]! & bit) === 0) {
      this.bits[at]! |= bit
      this.count += 1
    } else this.duplicates += 1
  }

  private grow(at: number): void {
    const larger = new Uint8Array(Math.max(this.bits.length * 2, at + 1))
    larger.set(this.bits)
    this.bits = larger
  }
}
