// Statistics of a block: its samples summed up in cells of event time, for queries that want buckets
// and not samples.
//
// What a cell guarantees: it counts every sample of its block with event time in [timeUs, timeUs +
// stepUs), and no other; the cells of a block together count all its samples. Sums are exact, so
// adding cells gives the very bits that adding samples gives. Other blocks and frames may hold more
// samples of the same span: a cell speaks for its block alone.
import type { Epoch, Fields, Sample, Schema, Value } from '../../../mesh/index.ts'
import type { Cell } from '../../frame-store.ts'
import { addRow, type FieldPartial } from '../../query/aggregate.ts'
import { decodeRows, encodeRows, tableSchema } from './block-tables.ts'

/** Cells begin at multiples of their step since the Unix epoch, and each step divides the next. */
const STEPS_SECONDS = [1, 10, 60, 600, 3600, 86_400]
/** Below this the samples themselves are read about as quickly, and take little more room. */
const CELL_SAMPLES_MIN = 128

/** First and last are not kept, so nobody asks which row it was. */
const NO_KEY = { source: '', epoch: '' as Epoch, sequence: 0, index: 0 }

/** Until a cell's columns have been read: as many numbers as values. */
const UNKNOWN = -1

/**
 * Cells of the smallest step at which they hold 128 samples on average, by time; undefined when they
 * hold fewer even by the day.
 */
export function cellsOf(samples: readonly Sample[]): Cell[] | undefined {
  const most = Math.floor(samples.length / CELL_SAMPLES_MIN)
  if (most === 0) return undefined
  const times = Float64Array.from(samples, ({ timeUs }) => timeUs)
  const seconds = STEPS_SECONDS.find((step) => cellCount(times, step * 1e6) <= most)
  if (seconds === undefined) return undefined
  const stepUs = seconds * 1e6
  const cells = new Map<number, { samples: number; fields: Map<string, FieldPartial> }>()
  for (const { timeUs, fields } of samples) {
    const beginUs = beginOf(timeUs, stepUs)
    let cell = cells.get(beginUs)
    if (cell === undefined) cells.set(beginUs, (cell = { samples: 0, fields: new Map() }))
    cell.samples += 1
    addRow({ ...NO_KEY, timeUs, fields: cell.fields }, { ...NO_KEY, timeUs, fields }, false)
  }
  return [...cells]
    .map(([timeUs, cell]): Cell => ({ timeUs, stepUs, ...cell }))
    .sort((a, b) => a.timeUs - b.timeUs)
}

/** Cells of the step that hold at least one of these times. */
export function cellCount(times: Float64Array, stepUs: number): number {
  const begins = new Set<number>()
  for (const timeUs of times) begins.add(beginOf(timeUs, stepUs))
  return begins.size
}

function beginOf(timeUs: number, stepUs: number): number {
  return timeUs - (timeUs % stepUs)
}

/**
 * A row for each cell: `samples`, and of each field what cannot be told from the rest: `count` unless
 * all samples have it, `numbers` unless all its values are, `min`, `max`, the parts of the sum. A
 * column's name is that word, a space and the field's name.
 */
export function encodeCells(cells: readonly Cell[], schema: Schema): Buffer {
  const rows = cells.map(({ timeUs, samples, fields }): Sample => {
    const row: [string, Value][] = [['samples', samples]]
    for (const [name, partial] of fields) {
      const { count, numbers, sum, min, max } = partial
      if (count !== samples) row.push([`count ${name}`, count])
      if (numbers !== count) row.push([`numbers ${name}`, numbers])
      if (min !== undefined) row.push([`min ${name}`, min])
      if (max !== undefined) row.push([`max ${name}`, max])
      for (const [i, part] of sum.toReversed().entries()) row.push([`${sumWord(i)} ${name}`, part])
    }
    return { timeUs, fields: Object.fromEntries(row) }
  })
  return encodeRows(rows, cellTable(schema))
}

/** The reverse; undefined when the bytes hold no such cells. New objects with each call. */
export function decodeCells(
  body: Buffer,
  cellSeconds: number,
  count: number,
  schema: Schema,
): Cell[] | undefined {
  const rows = decodeRows(body, count, cellTable(schema))
  const stepUs = cellSeconds * 1e6
  return rows?.map(({ timeUs, fields: row }) => ({ timeUs, stepUs, ...readCell(row) }))
}

function readCell(row: Fields): Pick<Cell, 'samples' | 'fields'> {
  const samples = row['samples'] as number
  const fields = new Map<string, FieldPartial>()
  for (const column in row) {
    const space = column.indexOf(' ')
    if (space < 0) continue
    const name = column.slice(space + 1)
    let partial = fields.get(name)
    if (partial === undefined) {
      fields.set(name, (partial = { count: samples, numbers: UNKNOWN, sum: [] }))
    }
    const value = row[column] as number
    const word = column.slice(0, space)
    if (word === 'count' || word === 'numbers' || word === 'min' || word === 'max') {
      partial[word] = value
    } else {
      // A row with a smaller part has all greater ones too, so their columns stand in order.
      partial.sum.push(value)
    }
  }
  for (const partial of fields.values()) {
    partial.sum.reverse()
    if (partial.numbers === UNKNOWN) partial.numbers = partial.count
  }
  return { samples, fields }
}

/** The greatest part of a sum is `sum`, the next `sum2`. */
function sumWord(part: number): string {
  return part === 0 ? 'sum' : `sum${part + 1}`
}

/** The columns that nearly every cell has go by number; the rest, and other fields', by name. */
function cellTable(schema: Schema): Schema {
  const words = ['count', 'max', 'min', 'numbers', 'sum', 'sum2']
  const columns = schema.fields.flatMap((name) => words.map((word) => `${word} ${name}`))
  return tableSchema(['samples', ...columns])
}
