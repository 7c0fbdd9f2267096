// A Random that gives the same numbers for the same seed, for tests and the simulator. Not for
// secrets.
import type { Random } from './clock.ts'

/** xoshiro128** of Blackman and Vigna, seeded by splitmix32 so that neighbouring seeds differ. */
export class SeededRandom implements Random {
  private readonly state: Uint32Array

  constructor(seed: number) {
    this.state = new Uint32Array(4)
    let mixed = seed | 0
    for (let index = 0; index < 4; index += 1) {
      mixed = (mixed + 0x9e37_79b9) | 0
      let word = mixed ^ (mixed >>> 16)
      word = Math.imul(word, 0x21f0_aaad)
      word ^= word >>> 15
      word = Math.imul(word, 0x735a_2d97)
      this.state[index] = word ^ (word >>> 15)
    }
  }

  next(): number {
    // 53 bits, as Math.random gives.
    return ((this.word() >>> 5) * 0x400_0000 + (this.word() >>> 6)) / 0x20_0000_0000_0000
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let index = 0; index < length; index += 1) bytes[index] = this.word() >>> 24
    return bytes
  }

  /** A generator of its own, so that drawing more in one place does not shift another. */
  fork(): SeededRandom {
    return new SeededRandom(this.word())
  }

  private word(): number {
    const state = this.state
    const s1 = state[1]!
    const product = Math.imul(s1, 5)
    const result = Math.imul((product << 7) | (product >>> 25), 9)
    const shifted = s1 << 9
    state[2]! ^= state[0]!
    state[3]! ^= s1
    state[1]! ^= state[2]!
    state[0]! ^= state[3]!
    state[2]! ^= shifted
    state[3] = (state[3]! << 11) | (state[3]! >>> 21)
    return result >>> 0
  }
}
