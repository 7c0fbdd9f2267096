// One row of a recording, through the mapping: a sample of a source, or a refusal that says which row
// and why. Nothing is repaired: a row is taken as it stands or refused and counted.
//
// Blanks around numbers, times and booleans do not count; an empty cell is a missing value where the
// mapping says optional, and a refusal where it does not.
import type { Sample, Value } from '../../mesh/index.ts'
import type { FieldMapping, Mapping } from './mapping.ts'
import { timeReader, type TimeReader } from './times.ts'
import { unitLine, type Line } from './units.ts'

/** Why a row is refused; what refusals are counted by, together with the column. */
export type RowFault =
  | 'wrong column count'
  | 'broken quotes'
  | 'too long'
  | 'not JSON'
  | 'empty'
  | 'not a source'
  | 'not a time'
  | 'not a number'
  | 'not an integer'
  | 'not a boolean'
  | 'not text'

export interface RowSample {
  readonly kind: 'row'
  /** 1-based line of the file on which the row starts; a CSV header is line 1. */
  readonly row: number
  readonly source: string
  readonly sample: Sample
}

export interface RowRefusal {
  readonly kind: 'refusal'
  readonly row: number
  readonly fault: RowFault
  /** The column at fault, where one is. */
  readonly column?: string
  /** A sentence for the user. */
  readonly reason: string
}

export function refuse(row: number, fault: RowFault, reason: string, column?: string): RowRefusal {
  return { kind: 'refusal', row, fault, reason, ...(column === undefined ? {} : { column }) }
}

/** Cells as they come: text from CSV, any JSON value from JSON. */
export type Cell = unknown

/** Turns the cells of one row into a sample. */
export type RowReader = (row: number, cells: readonly Cell[]) => RowSample | RowRefusal

/** The columns a mapping reads, each once. */
export function mappedColumns(mapping: Mapping): string[] {
  const columns = mapping.fields.map(({ column }) => column)
  columns.push(mapping.time.column)
  if (mapping.source.column !== undefined) columns.push(mapping.source.column)
  return [...new Set(columns)]
}

/** Builds the reader once per file; `at` says where each mapped column stands among the cells. */
export function rowReader(mapping: Mapping, at: (column: string) => number): RowReader {
  const readSource = sourceReader(mapping, at)
  const readTime = timeReader(mapping.time)
  const timeAt = at(mapping.time.column)
  const fields = mapping.fields.map((field) => fieldReader(field, at(field.column)))
  return (row, cells) => {
    const source = readSource(cells)
    if (source instanceof Refused) return source.at(row)
    const timeUs = recordedTime(mapping.time.column, cells[timeAt], readTime)
    if (timeUs instanceof Refused) return timeUs.at(row)
    const values: Record<string, Value> = {}
    for (const { name, read } of fields) {
      const value = read(cells)
      if (value instanceof Refused) return value.at(row)
      if (value !== undefined) values[name] = value
    }
    return { kind: 'row', row, source, sample: { timeUs, fields: values } }
  }
}

/** A refusal of a cell, before its row number is known. */
class Refused {
  readonly fault: RowFault
  readonly column: string
  readonly reason: string

  constructor(fault: RowFault, column: string, cell: Cell, reason: string) {
    this.fault = fault
    this.column = column
    this.reason = `${column} ${shown(cell)} ${reason}`
  }

  at(row: number): RowRefusal {
    return refuse(row, this.fault, this.reason, this.column)
  }
}

/** Long enough to recognise a value in an editor, short enough for a log line. */
const SHOWN_MAX = 60

function shown(cell: Cell): string {
  const text = JSON.stringify(cell) ?? 'undefined'
  return text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX)}…`
}

/** Text of a cell; undefined when it is empty. */
function cellText(cell: Cell): string | undefined {
  if (typeof cell === 'string') return cell === '' ? undefined : cell
  return typeof cell === 'number' || typeof cell === 'boolean' ? String(cell) : undefined
}

function isEmpty(cell: Cell): boolean {
  return cell === undefined || cell === null || (typeof cell === 'string' && cell.trim() === '')
}

/** Bytes that are not UTF-8 were replaced by this on reading; such text is not what was recorded. */
const REPLACED = '\uFFFD'
/** A source stands in a frame with one byte for its length. */
const SOURCE_BYTES_MAX = 255

function sourceReader(mapping: Mapping, at: (column: string) => number) {
  const { column, value, prefix = '' } = mapping.source
  if (column === undefined) {
    const constant = prefix + (value ?? '')
    return () => constant
  }
  const index = at(column)
  return (cells: readonly Cell[]): string | Refused => {
    const cell = cells[index]
    if (isEmpty(cell)) return new Refused('empty', column, cell, 'is empty: the row has no source')
    const text = cellText(cell)?.trim()
    const source = prefix + text
    if (text === undefined || source.includes(REPLACED) || !source.isWellFormed()) {
      return new Refused('not a source', column, cell, 'is not readable text')
    }
    if (Buffer.byteLength(source) > SOURCE_BYTES_MAX) {
      return new Refused('not a source', column, cell, `exceeds ${SOURCE_BYTES_MAX} bytes`)
    }
    return source
  }
}

function recordedTime(column: string, cell: Cell, readTime: TimeReader): number | Refused {
  if (isEmpty(cell)) return new Refused('empty', column, cell, 'is empty: the row has no time')
  const timeUs = readTime(cellText(cell)?.trim() ?? '')
  return typeof timeUs === 'number' ? timeUs : new Refused('not a time', column, cell, timeUs)
}

function fieldReader(field: FieldMapping, index: number) {
  const convert = converter(field)
  const read = (cells: readonly Cell[]): Value | Refused | undefined => {
    const cell = cells[index]
    if (isEmpty(cell)) {
      if (field.optional === true) return undefined
      return new Refused('empty', field.column, cell, 'is empty and the mapping does not allow it')
    }
    return convert(cell)
  }
  return { name: field.field, read }
}

type CellConverter = (cell: Cell) => Value | Refused

function converter(field: FieldMapping): CellConverter {
  if (field.type === 'string') return stringConverter(field)
  if (field.type === 'boolean') return booleanConverter(field)
  const line = lineOf(field)
  return field.type === 'number' ? numberConverter(field, line) : integerConverter(field, line)
}

function lineOf({ convert }: FieldMapping): Line | undefined {
  if (convert === undefined) return undefined
  if (convert.from === undefined || convert.to === undefined) {
    return { scale: convert.scale ?? 1, offset: convert.offset ?? 0 }
  }
  const line = unitLine(convert.from, convert.to)
  if (typeof line === 'string') throw new RangeError(line) // parseMapping has refused it already
  return line
}

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/

function cellNumber(cell: Cell): number | undefined {
  if (typeof cell === 'number') return cell
  const text = typeof cell === 'string' ? cell.trim() : ''
  if (!NUMBER.test(text)) return undefined
  const value = Number(text)
  return Number.isFinite(value) ? value : undefined
}

function numberConverter(field: FieldMapping, line: Line | undefined): CellConverter {
  return (cell) => {
    const value = cellNumber(cell)
    if (value === undefined) {
      return new Refused('not a number', field.column, cell, 'is not a number')
    }
    return line === undefined ? value : value * line.scale + line.offset
  }
}

function integerConverter(field: FieldMapping, line: Line | undefined): CellConverter {
  return (cell) => {
    const value = cellNumber(cell)
    const converted =
      value === undefined || line === undefined ? value : value * line.scale + line.offset
    if (converted !== undefined && Number.isSafeInteger(converted)) return converted
    return new Refused('not an integer', field.column, cell, 'is not an integer')
  }
}

const BOOLEANS: ReadonlyMap<string | undefined, boolean> = new Map([
  ['true', true],
  ['false', false],
  ['1', true],
  ['0', false],
])

function booleanConverter(field: FieldMapping): CellConverter {
  return (cell) => {
    const value = BOOLEANS.get(cellText(cell)?.trim().toLowerCase())
    if (value !== undefined) return value
    return new Refused('not a boolean', field.column, cell, 'is not true, false, 1 or 0')
  }
}

function stringConverter(field: FieldMapping): CellConverter {
  return (cell) => {
    const text = cellText(cell)
    if (text !== undefined && text.isWellFormed() && !text.includes(REPLACED)) return text
    return new Refused('not text', field.column, cell, 'is not readable text (UTF-8)')
  }
}
