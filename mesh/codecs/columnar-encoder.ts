// Samples to columns: the encoding half of the columnar codec (columnar.ts has the picture). The hot
// path of every publisher: no Map, no array and no object is made for a frame whose fields the
// schema names.
import type { Sample, Value } from '../sample.ts'
import type { Schema } from '../schema.ts'
import { pack, packedBytes } from './bits.ts'
import { ByteWriter } from './bytes.ts'
import { cellsTooMany, CELLS_MAX, checkTime, refuse, refuseText } from './limits.ts'
import { NumberScratch, writeNumbers } from './numbers.ts'
import { TextScratch, writeTexts } from './texts.ts'

/** What a column holds, as bits: the kind byte of the wire. More than one bit: a mixed column. */
export const NUMBERS = 1
export const BOOLEANS = 2
export const TEXTS = 4
export const KINDS = NUMBERS | BOOLEANS | TEXTS
export const HAS_GAPS = 0x80

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

/** Turns samples into columns. Keeps its scratch from call to call; not for two calls at a time. */
export class ColumnarEncoder {
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

  /** The body as it is in the scratch output, flags 0 in front: valid until the next call. */
  encode(samples: readonly Sample[], schema: Schema): ByteWriter {
    const { out } = this
    const layout = this.layoutOf(schema)
    out.at = 0
    out.u8(0)
    if (samples.length === 0) return out
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
    return out
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
}

function kindNumber(value: Value): number {
  if (typeof value === 'number') return 0
  return typeof value === 'boolean' ? 1 : 2
}
