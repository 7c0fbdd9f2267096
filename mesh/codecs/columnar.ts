// The default codec: a typed column per field (docs/wire-format.md, "Columnar"). It encodes on the hot
// path of every publisher, so it makes one pass over the samples into scratch arrays that are kept
// from frame to frame, and then writes each column in the cheapest coding that is exact.
//
//   | flags | times | columns | column | column | …         flags 1: what follows is one zstd frame
//                               | field, kind | bitmap of the rows that have it | values |
//
// Columns of schema fields come first, in the schema's order, then others as first seen: the bytes
// depend on the samples and the schema alone, never on what was encoded before.
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import type { Codec } from '../codec.ts'
import type { Sample, Value } from '../sample.ts'
import type { Schema } from '../schema.ts'
import { pack, packedBytes, unpack } from './bits.ts'
import { ByteReader, ByteWriter, corrupt } from './bytes.ts'
import { cellsTooMany, CELLS_MAX, checkCount, checkTime, refuse, refuseText } from './limits.ts'
import { NumberScratch, readNumbers, writeNumbers } from './numbers.ts'
import { readTexts, TextScratch, writeTexts } from './texts.ts'

export interface ColumnarOptions {
  /** Adds zstd over the whole body where that makes it smaller; costs about 10 µs a frame. */
  readonly compress?: boolean
}

const FLAG_ZSTD = 1
/** Most bytes a compressed body may become; a raw one is bounded by the frame. */
const BODY_BYTES_MAX = 1 << 24
/** zstd lets a stranger's frame claim a window of 128 MiB, allocated before the first byte is out. */
const ZSTD_LIMITS = {
  maxOutputLength: BODY_BYTES_MAX,
  params: { [constants.ZSTD_d_windowLogMax]: 24 },
}

/** What a column holds, as bits: the kind byte of the wire. More than one bit: a mixed column. */
const NUMBERS = 1
const BOOLEANS = 2
const TEXTS = 4
const KINDS = NUMBERS | BOOLEANS | TEXTS
const HAS_GAPS = 0x80

/** Scratch beyond this many cells (1.3 MB) is given back after the frame that needed it. */
const SCRATCH_CELLS_KEPT = 1 << 17

/** A field while a frame is encoded; those of the schema live as long as it does. */
class Column {
  readonly name: string
  /** Index in schema.fields, -1 when the schema does not name it. */
  readonly index: number
  /** The column that followed in the last sample: samples of a stream mostly have equal key order. */
  next: Column | undefined
  /** Where its values begin in the scratch arrays; -1 while the frame has none. */
  start = -1
  count = 0
  kinds = 0

  constructor(name: string, index: number) {
    this.name = name
    this.index = index
  }

  reset(): void {
    this.start = -1
    this.count = 0
    this.kinds = 0
    // A column the schema does not name ends with its frame: met again, it would be there twice.
    if (this.next !== undefined && this.next.index < 0) this.next = undefined
  }
}

interface Layout {
  readonly head: Column
  readonly columns: readonly Column[]
  readonly byName: ReadonlyMap<string, Column>
}

export function createColumnarCodec(options: ColumnarOptions = {}): Codec {
  const encoder = new ColumnarEncoder(options.compress ?? false)
  const decoder = new ColumnarDecoder()
  return {
    name: 'columnar',
    encode: (samples, schema) => encoder.encode(samples, schema),
    decode: (body, count, schema) => decoder.decode(body, count, schema),
  }
}

class ColumnarEncoder {
  private readonly compress: boolean
  private readonly layouts = new WeakMap<Schema, Layout>()
  /** Fields of the current frame that its schema does not name. */
  private readonly extras = new Map<string, Column>()
  private readonly numbers = new NumberScratch()
  private readonly texts = new TextScratch()
  private out = new ByteWriter(1 << 14)
  /** Values of all columns, one region of `rowCount` cells each; booleans as 0 and 1. */
  private cells = new Float64Array(1 << 10)
  /** The row each cell belongs to. */
  private rows = new Uint16Array(1 << 10)
  private rowCount = 0
  /** Cells in use; the first region holds the times. */
  private used = 0

  constructor(compress: boolean) {
    this.compress = compress
  }

  encode(samples: readonly Sample[], schema: Schema): Uint8Array {
    const { out } = this
    checkCount(samples.length)
    const layout = this.layoutOf(schema)
    out.at = 0
    out.u8(0)
    if (samples.length === 0) return out.take()
    this.rowCount = samples.length
    try {
      this.used = 0
      this.region()
      this.gather(samples, layout)
      writeNumbers(out, this.cells, 0, this.rowCount, this.numbers)
      out.varint(this.used / this.rowCount - 1)
      for (const column of layout.columns) {
        if (column.count > 0) this.writeColumn(column, samples)
      }
      if (this.extras.size > 0) {
        for (const column of this.extras.values()) this.writeColumn(column, samples)
      }
    } finally {
      this.reset(layout)
    }
    return this.compress ? this.compressed() : out.take()
  }

  /** One pass over the samples: every value into its column's region. */
  private gather(samples: readonly Sample[], layout: Layout): void {
    let { cells, rows } = this
    for (let row = 0; row < samples.length; row++) {
      const { timeUs, fields } = samples[row]!
      // Adding zero turns -0 into 0, the only safe integer that is not its own bits.
      cells[row] = checkTime(timeUs) + 0
      let before = layout.head
      for (const name in fields) {
        let column = before.next
        if (column === undefined || column.name !== name) {
          column = layout.byName.get(name) ?? this.extra(name)
          before.next = column
        }
        before = column
        if (column.start < 0) {
          this.open(column)
          ;({ cells, rows } = this)
        }
        const value = fields[name]
        const at = column.start + column.count
        if (typeof value === 'number') {
          cells[at] = value
          column.kinds |= NUMBERS
        } else if (typeof value === 'boolean') {
          cells[at] = value ? 1 : 0
          column.kinds |= BOOLEANS
        } else if (typeof value === 'string') {
          // Strings stay in the samples: writeColumn reads them again.
          if (!value.isWellFormed()) refuseText(`field ${JSON.stringify(name)}`)
          column.kinds |= TEXTS
        } else {
          refuse(name, value)
        }
        rows[at] = row
        column.count++
      }
    }
  }

  private writeColumn(column: Column, samples: readonly Sample[]): void {
    const { out, rowCount } = this
    const { start, count, kinds, index } = column
    out.varint(index + 1)
    if (index < 0) out.text(column.name)
    const hasGaps = count < rowCount
    out.u8(hasGaps ? kinds | HAS_GAPS : kinds)
    if (hasGaps) this.writeGaps(column)
    if (kinds === NUMBERS) writeNumbers(out, this.cells, start, start + count, this.numbers)
    else if (kinds === BOOLEANS) pack(out, this.cells, start, start + count, 0, 1)
    else if (kinds === TEXTS)
      writeTexts(out, this.valuesOf(column, samples) as string[], this.texts)
    else this.writeMixed(column, samples)
  }

  /** The kind of each value at two bits, then the values of each kind by themselves. */
  private writeMixed(column: Column, samples: readonly Sample[]): void {
    const { out } = this
    const values = this.valuesOf(column, samples)
    const kinds = Float64Array.from(values, kindNumber)
    pack(out, kinds, 0, kinds.length, 0, 2)
    const numbers = Float64Array.from(values.filter((value) => typeof value === 'number'))
    const booleans = Float64Array.from(
      values.filter((value) => typeof value === 'boolean'),
      Number,
    )
    const texts = values.filter((value) => typeof value === 'string')
    if (numbers.length > 0) writeNumbers(out, numbers, 0, numbers.length, this.numbers)
    if (booleans.length > 0) pack(out, booleans, 0, booleans.length, 0, 1)
    if (texts.length > 0) writeTexts(out, texts, this.texts)
  }

  private writeGaps({ start, count }: Column): void {
    const { out, rows } = this
    const size = packedBytes(this.rowCount, 1)
    out.ensure(size)
    out.bytes.fill(0, out.at, out.at + size)
    for (let i = start; i < start + count; i++) {
      const row = rows[i]!
      const at = out.at + (row >> 3)
      out.bytes[at] = out.bytes[at]! | (1 << (row & 7))
    }
    out.at += size
  }

  private valuesOf({ name, start, count }: Column, samples: readonly Sample[]): Value[] {
    const values: Value[] = []
    for (let i = start; i < start + count; i++) values.push(samples[this.rows[i]!]!.fields[name]!)
    return values
  }

  private open(column: Column): void {
    column.start = this.region()
    if (column.index < 0) {
      if (!column.name.isWellFormed()) refuseText('a field name')
      this.extras.set(column.name, column)
    }
  }

  /** Takes the next region of `rowCount` cells; may replace `cells` and `rows`. */
  private region(): number {
    const start = this.used
    const end = start + this.rowCount
    if (end - this.rowCount > CELLS_MAX) throw cellsTooMany(end)
    if (end > this.cells.length) {
      const cells = new Float64Array(Math.max(end, this.cells.length * 2))
      const rows = new Uint16Array(cells.length)
      cells.set(this.cells)
      rows.set(this.rows)
      this.cells = cells
      this.rows = rows
    }
    this.used = end
    return start
  }

  private extra(name: string): Column {
    return this.extras.get(name) ?? new Column(name, -1)
  }

  private layoutOf(schema: Schema): Layout {
    let layout = this.layouts.get(schema)
    if (layout === undefined) {
      const columns = schema.fields.map((name, index) => new Column(name, index))
      const byName = new Map(columns.map((column) => [column.name, column]))
      layout = { head: new Column('', -1), columns, byName }
      this.layouts.set(schema, layout)
    }
    return layout
  }

  private reset(layout: Layout): void {
    layout.head.reset()
    for (const column of layout.columns) column.reset()
    if (this.extras.size > 0) {
      for (const column of this.extras.values()) column.reset()
      this.extras.clear()
    }
    if (this.cells.length > SCRATCH_CELLS_KEPT) {
      this.cells = new Float64Array(1 << 10)
      this.rows = new Uint16Array(1 << 10)
    }
  }

  private compressed(): Uint8Array {
    const { out } = this
    if (out.at - 1 > BODY_BYTES_MAX) return out.take()
    const packed = zstdCompressSync(out.bytes.subarray(1, out.at))
    if (packed.length >= out.at - 1) return out.take()
    return Buffer.concat([Uint8Array.of(FLAG_ZSTD), packed])
  }
}

class ColumnarDecoder {
  private readonly texts = new TextScratch()
  private values = new Float64Array(256)
  private gaps = new Float64Array(256)

  decode(body: Uint8Array, count: number, schema: Schema): Sample[] {
    checkCount(count)
    const input = openBody(body)
    if (count === 0) return atEnd(input, [])
    if (this.values.length < count) {
      this.values = new Float64Array(count)
      this.gaps = new Float64Array(count)
    }
    readNumbers(input, this.values, count)
    const samples: { timeUs: number; fields: Record<string, Value> }[] = []
    for (let row = 0; row < count; row++) {
      const timeUs = this.values[row]!
      if (!(Number.isSafeInteger(timeUs) && timeUs >= 0))
        throw corrupt(`time ${timeUs} in row ${row}`)
      samples.push({ timeUs, fields: {} })
    }
    const columnCount = input.varint()
    // A column of one repeated value takes a few bytes for any number of rows: bound the product.
    if (columnCount * count > CELLS_MAX) throw corrupt(`${columnCount} columns of ${count} rows`)
    for (let i = 0; i < columnCount; i++) this.readColumn(input, samples, schema)
    return atEnd(input, samples)
  }

  private readColumn(
    input: ByteReader,
    samples: readonly { fields: Record<string, Value> }[],
    schema: Schema,
  ): void {
    const index = input.varint()
    const name = index === 0 ? input.text() : schema.fields[index - 1]
    if (name === undefined) throw corrupt(`field ${index - 1} of ${schema.fields.length}`)
    const head = input.u8()
    const kinds = head & ~HAS_GAPS
    if (kinds < 1 || kinds > KINDS) throw corrupt(`column kind ${head}`)
    const hasGaps = (head & HAS_GAPS) !== 0
    const count = hasGaps ? this.readGaps(input, samples.length) : samples.length
    const { values } = this
    if (kinds === NUMBERS) {
      readNumbers(input, values, count)
      if (!hasGaps && name !== '__proto__') {
        for (let row = 0; row < count; row++) samples[row]!.fields[name] = values[row]!
        return
      }
    }
    const read = kinds === NUMBERS ? values : this.readValues(input, kinds, count)
    for (let row = 0, i = 0; row < samples.length; row++) {
      if (!hasGaps || this.gaps[row] === 1) setField(samples[row]!.fields, name, read[i++]!)
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

function kindNumber(value: Value): number {
  if (typeof value === 'number') return 0
  return typeof value === 'boolean' ? 1 : 2
}

function openBody(body: Uint8Array): ByteReader {
  const input = new ByteReader(body)
  const flags = input.u8()
  if (flags === 0) return input
  if (flags !== FLAG_ZSTD) throw corrupt(`flags ${flags}`)
  try {
    return new ByteReader(zstdDecompressSync(input.bytes.subarray(1), ZSTD_LIMITS))
  } catch (cause) {
    throw corrupt('zstd', cause)
  }
}

function atEnd(input: ByteReader, samples: Sample[]): Sample[] {
  if (input.at === input.bytes.length) return samples
  throw corrupt(`${input.bytes.length - input.at} bytes too many`)
}

/** As an assignment, but `__proto__` is a field like any other. */
function setField(fields: Record<string, Value>, name: string, value: Value): void {
  if (name !== '__proto__') fields[name] = value
  else
    Object.defineProperty(fields, name, {
      value,
      enumerable: true,
      writable: true,
      configurable: true,
    })
}
