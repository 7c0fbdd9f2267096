// What is published under faults: every sample follows from the seed, its series and its number, so that
// each one that comes back can be checked although nobody keeps it.
import type { Sample } from '../../mesh/index.ts'
import type { Row } from '../../storage/index.ts'

export interface Series {
  readonly stream: string
  readonly source: string
}

/** Between two samples of a series. */
const STEP_US = 1000

export class Samples {
  private readonly seed: number
  private readonly baseUs: number
  private readonly textBytes: number

  /** `baseUs` is the time of number 0; each sample has so many bytes of text. */
  constructor(seed: number, baseUs: number, textBytes: number) {
    this.seed = seed
    this.baseUs = baseUs
    this.textBytes = textBytes
  }

  /** Number n of a series, from 0. */
  sample(series: Series, n: number): Sample {
    const mixed = hash(`${this.seed} ${series.stream} ${series.source} ${n}`)
    const text = String(mixed)
    return {
      timeUs: this.baseUs + n * STEP_US + (mixed % STEP_US),
      fields: {
        n,
        mixed,
        share: mixed / 0x1_0000_0000,
        isOdd: mixed % 2 === 1,
        ...(this.textBytes > 0 && { text: text.padEnd(this.textBytes, `${text} `) }),
      },
    }
  }

  numberAt(timeUs: number): number {
    return Math.floor((timeUs - this.baseUs) / STEP_US)
  }

  /** Which number a row is, or undefined when no sample is like it. */
  numberOf(series: Series, { timeUs, fields }: Pick<Row, 'timeUs' | 'fields'>): number | undefined {
    const n = this.numberAt(timeUs)
    const expected = this.sample(series, n)
    const names = Object.keys(expected.fields)
    const isSame =
      n >= 0 &&
      expected.timeUs === timeUs &&
      names.length === Object.keys(fields).length &&
      names.every((name) => Object.is(fields[name], expected.fields[name]))
    return isSame ? n : undefined
  }
}

/** FNV-1a, then mixed once more: neighbours differ in all bits. */
function hash(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  return (h ^ (h >>> 13)) >>> 0
}
