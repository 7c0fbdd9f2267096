// Chance from a seed. Mulberry32: 32 bits of state, period 2^32, a few nanoseconds a draw; plenty for
// simulated worlds and useless for anything secret.
import type { Random } from '../mesh/index.ts'

export class SeededRandom implements Random {
  #state: number

  /** Generators of one seed and different streams (a vehicle's index, say) are independent. */
  constructor(seed: number, stream = 0) {
    this.#state = mix(mix(seed | 0) ^ Math.imul(stream + 1, 0x9e3779b9))
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let bits = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return ((bits ^ (bits >>> 14)) >>> 0) / 4_294_967_296
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => Math.floor(this.next() * 256))
  }

  between(low: number, high: number): number {
    return low + (high - low) * this.next()
  }

  /** A whole number in 0..count-1. */
  below(count: number): number {
    return Math.floor(this.next() * count)
  }

  /** Time until something that happens on average every `mean`. */
  exponential(mean: number): number {
    return -mean * Math.log(1 - this.next())
  }

  /** Mean 0, deviation 1 (Box-Muller). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next())
  }
}

/** Murmur3's finaliser: near seeds give far states. */
function mix(value: number): number {
  let bits = value
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return bits ^ (bits >>> 16)
}
