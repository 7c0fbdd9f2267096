// Rows that people pipe in, as readings: NDJSON or CSV with a header, told apart by the first
// character. The source and the time are found under the names people use; everything else is a field.
import type { Readable } from 'node:stream'
import { createInterface } from 'node:readline'
import type { Value } from '../mesh/index.ts'
import type { Reading } from '../nodes/index.ts'
import { CsvReader } from '../sim/index.ts'
import { parseTime, TIME_FORMS } from '../storage/index.ts'

export interface RowOptions {
  /** The column of the source; by default the first of SOURCE_NAMES that a row has. */
  readonly sourceField?: string | undefined
  readonly timeField?: string | undefined
  /** For rows without a column that says so. */
  readonly source?: string | undefined
  readonly nowUs: () => number
}

export type RowResult = { readonly row: number } & (
  | { readonly reading: Reading }
  | { readonly reason: string }
)

const SOURCE_NAMES = ['source', 'vehicle_id', 'sensor_id', 'device_id', 'id']
const TIME_NAMES = ['time', 'timestamp', 'time_us', 'ts']

/** Readings and refusals in order; `row` is the line of the input, from 1. */
export async function* readRows(input: Readable, options: RowOptions): AsyncGenerator<RowResult> {
  const first = await firstByte(input)
  if (first === undefined) return
  yield* first === '{' ? jsonRows(input, options) : csvRows(input, options)
}

async function* jsonRows(input: Readable, options: RowOptions): AsyncGenerator<RowResult> {
  let row = 0
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    row += 1
    if (line.trim() === '') continue
    let value: unknown
    try {
      value = JSON.parse(line)
    } catch (error) {
      yield { row, reason: `not JSON: ${(error as Error).message}` }
      continue
    }
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    if (isObject) yield { row, ...readingOf(value as Record<string, unknown>, options) }
    else yield { row, reason: 'not a JSON object' }
  }
}

async function* csvRows(input: Readable, options: RowOptions): AsyncGenerator<RowResult> {
  const reader = new CsvReader({ delimiter: ',', quote: '"' })
  let names: readonly string[] | undefined
  const take = function* (items: ReturnType<CsvReader['push']>): Generator<RowResult> {
    for (const item of items) {
      if ('reason' in item) yield item
      else if (names === undefined) names = item.cells.map((name) => name.trim())
      else yield { row: item.row, ...csvReading(names, item.cells, options) }
    }
  }
  input.setEncoding('utf8')
  let isFirst = true
  for await (const chunk of input as AsyncIterable<string>) {
    yield* take(reader.push(isFirst ? chunk.replace(/^\uFEFF/, '') : chunk))
    isFirst = false
  }
  yield* take(reader.end())
}

function csvReading(
  names: readonly string[],
  cells: readonly string[],
  options: RowOptions,
): { reading: Reading } | { reason: string } {
  if (cells.length !== names.length) {
    return { reason: `${cells.length} columns, the header has ${names.length}` }
  }
  const values = names.map((name, i): [string, unknown] => [name, cellValue(cells[i]!)])
  return readingOf(Object.fromEntries(values), options)
}

/** What a CSV cell means: empty is missing. */
function cellValue(cell: string): Value | undefined {
  const text = cell.trim()
  if (text === '') return undefined
  if (text === 'true' || text === 'false') return text === 'true'
  // Number('0x10') and Number('1e999') are not what a CSV means.
  return /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text) ? Number(text) : cell
}

function readingOf(
  row: Record<string, unknown>,
  options: RowOptions,
): { reading: Reading } | { reason: string } {
  const sourceField = options.sourceField ?? SOURCE_NAMES.find((name) => row[name] !== undefined)
  const timeField = options.timeField ?? TIME_NAMES.find((name) => row[name] !== undefined)
  const source = sourceField === undefined ? options.source : row[sourceField]
  if ((typeof source !== 'string' && typeof source !== 'number') || source === '') {
    return { reason: `no source: expected one of ${SOURCE_NAMES.join(', ')} (or --source)` }
  }
  const nowUs = options.nowUs()
  const written = timeField === undefined ? nowUs : row[timeField]
  const isTime = typeof written === 'string' || typeof written === 'number'
  const timeUs = isTime ? parseTime(written, nowUs) : undefined
  if (timeUs === undefined) {
    return { reason: `${timeField} ${JSON.stringify(written)} is no time: expected ${TIME_FORMS}` }
  }
  const fields: Record<string, Value> = {}
  for (const [name, value] of Object.entries(row)) {
    if (name === sourceField || name === timeField || value === undefined || value === null)
      continue
    if (typeof value === 'object') return { reason: `field ${name} is nested; flatten it` }
    fields[name] = value as Value
  }
  return { reading: { source: String(source), sample: { timeUs, fields } } }
}

/** Looks at the first character that is not white space without consuming anything. */
async function firstByte(input: Readable): Promise<string | undefined> {
  for (;;) {
    const chunk = input.read() as Buffer | null
    if (chunk !== null) {
      input.unshift(chunk)
      const text = chunk
        .toString('utf8')
        .replace(/^\uFEFF/, '')
        .trimStart()
      return text === '' ? '{' : text[0]
    }
    if (input.readableEnded || input.destroyed) return undefined
    const ended = await new Promise<boolean>((resolve, reject) => {
      input.once('readable', () => resolve(false))
      input.once('end', () => resolve(true))
      input.once('error', reject)
    })
    if (ended) return undefined
  }
}
