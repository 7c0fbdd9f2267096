// A recorded file as rows, streamed: never more in memory than one piece of the file, one row, and the
// lines of a quoted value still open. `.gz` by file name. The hash of the file's own bytes is taken on
// the way, so that a file that changed since its epoch was fixed is noticed.
import { createHash } from 'node:crypto'
import { createReadStream, type ReadStream } from 'node:fs'
import { once } from 'node:events'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { SimError } from '../errors.ts'
import { CsvReader, type CsvRow } from './csv.ts'
import { JsonRecordReader, parseObject, type JsonRecord } from './json-records.ts'
import type { Mapping } from './mapping.ts'
import { suggestion } from './nearest.ts'
import {
  mappedColumns,
  refuse,
  rowReader,
  type Cell,
  type RowRefusal,
  type RowSample,
} from './rows.ts'

export interface ReadOptions {
  readonly file: string
  readonly mapping: Mapping
  /** Called once with the SHA-256 of the file's bytes when all of it has been read. */
  readonly onHash?: (sha256: Buffer) => void
}

/** SHA-256 of the file as it lies on disk, compressed or not. @throws SimError SIM_FILE_NOT_FOUND. */
export async function hashFile(file: string): Promise<Buffer> {
  const hash = createHash('sha256')
  const stream = await openFile(file)
  try {
    await pipeline(stream, hash)
  } catch (cause) {
    throw unreadable(file, cause)
  }
  return hash.digest()
}

/**
 * Every row of the file in file order, as a sample or a refusal.
 * @throws SimError SIM_FILE_NOT_FOUND; SIM_FILE_FORMAT when the file as a whole cannot be read: no
 * such column, broken compression, JSON broken between records.
 */
export async function* readRows(options: ReadOptions): AsyncGenerator<RowSample | RowRefusal> {
  const { file, mapping } = options
  const reader = piecesReader(file, mapping)
  for await (const text of decodedText(options)) yield* reader.push(text)
  yield* reader.end()
}

interface PiecesReader {
  push(text: string): Iterable<RowSample | RowRefusal>
  end(): Iterable<RowSample | RowRefusal>
}

function piecesReader(file: string, mapping: Mapping): PiecesReader {
  if (mapping.format === 'csv') return csvPieces(file, mapping)
  return mapping.format === 'json' ? jsonPieces(mapping) : jsonLinePieces(mapping)
}

async function openFile(file: string): Promise<ReadStream> {
  const stream = createReadStream(file)
  try {
    await once(stream, 'open')
  } catch (cause) {
    throw unreadable(file, cause)
  }
  return stream
}

function unreadable(file: string, cause: unknown): SimError {
  const told = cause instanceof Error ? cause.message : String(cause)
  return new SimError('SIM_FILE_NOT_FOUND', `${file} cannot be read: ${told}`, {
    cause,
    details: { file },
  })
}

/** The file's text, hashed, uncompressed, decoded as UTF-8, without its byte order mark. */
async function* decodedText({ file, onHash }: ReadOptions): AsyncGenerator<string> {
  const hash = createHash('sha256')
  const hashed = new Transform({
    transform(bytes: Buffer, _encoding, done) {
      hash.update(bytes)
      done(null, bytes)
    },
  })
  const stages = file.endsWith('.gz') ? [hashed, createGunzip()] : [hashed]
  const last = stages.at(-1)!
  // The error reaches the loop below through `last`; here it only must not go unhandled.
  const piped = pipeline([await openFile(file), ...stages]).catch(() => {})
  const decoder = new TextDecoder('utf-8')
  try {
    for await (const bytes of last) yield decoder.decode(bytes as Buffer, { stream: true })
  } catch (cause) {
    const told = cause instanceof Error ? cause.message : String(cause)
    throw new SimError('SIM_FILE_FORMAT', `${file}: ${told}`, { cause, details: { file } })
  }
  const tail = decoder.decode()
  if (tail !== '') yield tail
  await piped
  onHash?.(hash.digest())
}

function csvPieces(file: string, mapping: Mapping): PiecesReader {
  const quote = mapping.csv?.quote ?? '"'
  const csv = new CsvReader({
    delimiter: mapping.csv?.delimiter ?? ',',
    quote: quote === 'none' ? undefined : quote,
  })
  let width = 0
  let toSample: ReturnType<typeof rowReader> | undefined
  function* read(rows: Iterable<CsvRow | RowRefusal>): Generator<RowSample | RowRefusal> {
    for (const row of rows) {
      if ('kind' in row) {
        if (toSample === undefined) throw noHeader(file, `line ${row.row}: ${row.reason}`)
        yield row
      } else if (toSample === undefined) {
        width = row.cells.length
        toSample = rowReader(mapping, headerIndex(file, mapping, row))
      } else if (row.cells.length === width) yield toSample(row.row, row.cells)
      else {
        const reason = `has ${row.cells.length} columns, the header has ${width}`
        yield refuse(row.row, 'wrong column count', reason)
      }
    }
  }
  return {
    push: (text) => read(csv.push(text)),
    *end() {
      yield* read(csv.end())
      if (toSample === undefined) throw noHeader(file, 'the file is empty')
    },
  }
}

function noHeader(file: string, reason: string): SimError {
  return new SimError('SIM_FILE_FORMAT', `${file} has no header line: ${reason}`, {
    details: { file },
  })
}

/** Where each mapped column stands; every mapped column must be in the header, once. */
function headerIndex(file: string, mapping: Mapping, header: CsvRow): (column: string) => number {
  const names = header.cells.map((cell) => cell.trim())
  for (const column of mappedColumns(mapping)) {
    const first = names.indexOf(column)
    if (first !== -1 && names.indexOf(column, first + 1) === -1) continue
    const problem =
      first === -1
        ? `has no column ${JSON.stringify(column)}${suggestion(column, names) || '.'}`
        : `has the column ${JSON.stringify(column)} twice.`
    throw new SimError(
      'SIM_FILE_FORMAT',
      `${file}:${header.row}: the header ${problem} It has: ${names.join(', ')}. ` +
        'Check the mapping and its csv.delimiter.',
      { details: { file, row: header.row, column, header: names } },
    )
  }
  return (column) => names.indexOf(column)
}

function jsonPieces(mapping: Mapping): PiecesReader {
  const columns = mappedColumns(mapping)
  const toSample = rowReader(mapping, (column) => columns.indexOf(column))
  const records = new JsonRecordReader(mapping.json?.records ?? '')
  function* read(found: Iterable<JsonRecord | RowRefusal>): Generator<RowSample | RowRefusal> {
    for (const item of found) {
      if ('kind' in item) yield item
      else yield toSample(item.row, cellsOf(columns, item.record, item.captured))
    }
  }
  return { push: (text) => read(records.push(text)), end: () => read(records.end()) }
}

/** JSON Lines: one object a line. The line reader is CSV's, with nothing to split at. */
function jsonLinePieces(mapping: Mapping): PiecesReader {
  const columns = mappedColumns(mapping)
  const toSample = rowReader(mapping, (column) => columns.indexOf(column))
  const lines = new CsvReader({ delimiter: '\n', quote: undefined })
  function* read(found: Iterable<CsvRow | RowRefusal>): Generator<RowSample | RowRefusal> {
    for (const item of found) {
      if ('kind' in item) {
        yield item
        continue
      }
      const record = parseObject(item.cells[0]!)
      if (record === undefined) yield refuse(item.row, 'not JSON', 'the line is no JSON object')
      else yield toSample(item.row, cellsOf(columns, record, {}))
    }
  }
  return { push: (text) => read(lines.push(text)), end: () => read(lines.end()) }
}

/** A column of a JSON record is a captured key, a key of the record, or keys joined by dots. */
function cellsOf(
  columns: readonly string[],
  record: Readonly<Record<string, unknown>>,
  captured: Readonly<Record<string, string>>,
): Cell[] {
  return columns.map((column) => {
    if (Object.hasOwn(captured, column)) return captured[column]
    if (Object.hasOwn(record, column)) return record[column]
    let value: unknown = record
    for (const key of column.split('.')) {
      const isObject = typeof value === 'object' && value !== null && Object.hasOwn(value, key)
      value = isObject ? (value as Record<string, unknown>)[key] : undefined
    }
    return value
  })
}
