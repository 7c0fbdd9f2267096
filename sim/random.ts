// Chance from a seed for simulated worlds: the mesh's seeded generator with the draws they need.
import { SeededRandom } from '../mesh/index.ts'

export class WorldRandom extends SeededRandom {
  /** Generators of one seed and different streams (a vehicle's index, say) are independent. */
  constructor(seed: number, stream = 0) {
    super(Math.imul(seed | 0, 0x85ebca6b) ^ Math.imul(stream + 1, 0x9e3779b9))
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
