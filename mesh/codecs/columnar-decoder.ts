// Columns to samples: the decoding half of the columnar codec (columnar.ts has the picture). Bodies
// come from the network or an old disk: every length is checked before anything is made of it.
import type { IndexedSample } from '../codec.ts'
import type { Sample, Value } from '../sample.ts'
import type { Schema } from '../schema.ts'
import { unpack } from './bits.ts'
import { type ByteReader, corrupt } from './bytes.ts'
import { BOOLEANS, HAS_GAPS, KINDS, NUMBERS, TEXTS } from './columnar-encoder.ts'
import { CELLS_MAX } from './limits.ts'
import { newestRow } from './newest.ts'
import { readNumbers } from './numbers.ts'
import { setField } from './set-field.ts'
import { readTexts, TextScratch } from './texts.ts'

/** Of all rows those that become samples: as many as there are samples, from one on. */
interface Rows {
  readonly from: number
  readonly samples: { timeUs: number; fields: Record<string, Value> }[]
}

/** Turns columns into samples; everything in the body may be wrong. */
export class ColumnarDecoder {
  private readonly texts = new TextScratch()
  private values = new Float64Array(256)
  private gaps = new Float64Array(256)

  decode(input: ByteReader, count: number, schema: Schema): Sample[] {
    if (count === 0) return atEnd(input, [])
    const times = this.readTimes(input, count)
    const rows: Rows = { from: 0, samples: [] }
    for (let row = 0; row < count; row++) rows.samples.push({ timeUs: times[row]!, fields: {} })
    return this.readColumns(input, count, rows, schema)
  }

  /** The newest of at least one row: of equal ones the last. Reads all, and makes one sample. */
  newest(input: ByteReader, count: number, schema: Schema): IndexedSample {
    const times = this.readTimes(input, count)
    const index = newestRow(times, count)
    const rows: Rows = { from: index, samples: [{ timeUs: times[index]!, fields: {} }] }
    const [sample] = this.readColumns(input, count, rows, schema)
    return { index, sample: sample! }
  }

  /** The times of all rows, until the next is decoded; the columns that follow are left alone. */
  readTimes(input: ByteReader, count: number): Float64Array {
    if (this.values.length < count) {
      this.values = new Float64Array(count)
      this.gaps = new Float64Array(count)
    }
    const times = this.values
    readNumbers(input, times, count)
    for (let row = 0; row < count; row++) {
      const isTime = Number.isSafeInteger(times[row]) && times[row]! >= 0
      if (!isTime) throw corrupt(`time ${times[row]} in row ${row}`)
    }
    return times
  }

  private readColumns(input: ByteReader, count: number, rows: Rows, schema: Schema): Sample[] {
    const columnCount = input.varint()
    // A column of one repeated value takes a few bytes for any number of rows: bound the product.
    if (columnCount * count > CELLS_MAX) throw corrupt(`${columnCount} columns of ${count} rows`)
    for (let i = 0; i < columnCount; i++) this.readColumn(input, count, rows, schema)
    return atEnd(input, rows.samples)
  }

  private readColumn(
    input: ByteReader,
    rowCount: number,
    { from, samples }: Rows,
    schema: Schema,
  ): void {
    const index = input.varint()
    const name = index === 0 ? input.text() : schema.fields[index - 1]
    if (name === undefined) throw corrupt(`field ${index - 1} of ${schema.fields.length}`)
    const head = input.u8()
    const kinds = head & ~HAS_GAPS
    if (kinds < 1 || kinds > KINDS) throw corrupt(`column kind ${head}`)
    const hasGaps = (head & HAS_GAPS) !== 0
    const count = hasGaps ? this.readGaps(input, rowCount) : rowCount
    const { values } = this
    if (kinds === NUMBERS) {
      readNumbers(input, values, count)
      if (!hasGaps && name !== '__proto__') {
        for (let i = 0; i < samples.length; i++) samples[i]!.fields[name] = values[from + i]!
        return
      }
    }
    const read = kinds === NUMBERS ? values : this.readValues(input, kinds, count)
    const end = from + samples.length
    for (let row = 0, i = 0; row < end; row++) {
      if (hasGaps && this.gaps[row] !== 1) continue
      const value = read[i++]!
      if (row >= from) setField(samples[row - from]!.fields, name, value)
    }
  }

  /** Fills `gaps` with 1 for each row that has a value, and returns how many have. */
  private readGaps(input: ByteReader, rowCount: number): number {
    unpack(input, this.gaps, 0, rowCount, 1)
    let count = 0
    for (let row = 0; row < rowCount; row++) count += this.gaps[row]!
    if (count === 0) throw corrupt('a column without a value')
    return count
  }

  private readValues(input: ByteReader, kinds: number, count: number): Value[] {
    if (kinds === TEXTS) return readTexts(input, count, this.texts)
    if (kinds === BOOLEANS) return this.readBooleans(input, count)
    const order = new Float64Array(count)
    unpack(input, order, 0, count, 2)
    const numberCount = order.filter((kind) => kind === 0).length
    const booleanCount = order.filter((kind) => kind === 1).length
    const textCount = order.filter((kind) => kind === 2).length
    if (numberCount + booleanCount + textCount !== count) throw corrupt('a value of no kind')
    const numbers = new Float64Array(numberCount)
    if (numberCount > 0) readNumbers(input, numbers, numberCount)
    const booleans = booleanCount > 0 ? this.readBooleans(input, booleanCount) : []
    const texts = textCount > 0 ? readTexts(input, textCount, this.texts) : []
    const next = [0, 0, 0]
    const parts = [numbers, booleans, texts]
    return Array.from(order, (kind): Value => parts[kind]![next[kind]!++]!)
  }

  private readBooleans(input: ByteReader, count: number): boolean[] {
    unpack(input, this.values, 0, count, 1)
    return Array.from(this.values.subarray(0, count), (bit) => bit === 1)
  }
}

function atEnd(input: ByteReader, samples: Sample[]): Sample[] {
  if (input.at === input.bytes.length) return samples
  throw corrupt(`${input.bytes.length - input.at} bytes too many`)
}
