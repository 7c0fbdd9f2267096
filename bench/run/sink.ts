// Where a consumer keeps what it gets, as the programs beside a broker do: rows of a database, or lines of
// a file. Each batch is on the disk, with one sync, when write() returns.
import { appendFileSync, closeSync, fsyncSync, mkdirSync, openSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Fields } from '../../mesh/index.ts'
import type { SinkKind } from '../load.ts'

export interface Row {
  readonly source: string
  readonly timeUs: number
  readonly fields: Fields
}

export interface Sink {
  write(rows: readonly Row[]): void
  close(): void
}

export interface SinkOptions {
  readonly kind: SinkKind
  /** A folder that is not there yet. */
  readonly path: string
  /** What is kept of each row's fields, beside source and time. */
  readonly names: readonly string[]
}

export function openSink({ kind, path, names }: SinkOptions): Sink {
  mkdirSync(path)
  return kind === 'sqlite' ? new SqliteSink(path, names) : new CsvSink(path, names)
}

/** Takes what comes, and persists all there is once a turn of the event loop: the busier, the larger. */
export class Persister {
  private readonly sink: Sink
  private readonly path: string
  private readonly onPersisted: (rows: readonly Row[]) => void
  private waiting: Row[] = []
  private soon: NodeJS.Immediate | undefined

  constructor(options: SinkOptions, onPersisted: (rows: readonly Row[]) => void) {
    this.path = options.path
    this.sink = openSink(options)
    this.onPersisted = onPersisted
  }

  take(rows: readonly Row[]): void {
    for (const row of rows) this.waiting.push(row)
    this.soon ??= setImmediate(() => this.persist())
  }

  /** What was persisted goes with it: it was measured, and nobody reads it. */
  close(): void {
    clearImmediate(this.soon)
    this.sink.close()
    rmSync(this.path, { recursive: true, force: true })
  }

  private persist(): void {
    this.soon = undefined
    const rows = this.waiting
    this.waiting = []
    this.sink.write(rows)
    this.onPersisted(rows)
  }
}

/** A transaction a batch. Its log is synced at each commit, the database itself when the log is full. */
class SqliteSink implements Sink {
  private readonly database: DatabaseSync
  private readonly insert: StatementSync
  private readonly names: readonly string[]

  constructor(path: string, names: readonly string[]) {
    this.names = names
    this.database = new DatabaseSync(join(path, 'samples.db'))
    const columns = ['source', 'time_us', ...names].join()
    this.database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      CREATE TABLE samples (${columns}, PRIMARY KEY (source, time_us)) WITHOUT ROWID`)
    const places = ['?', '?', ...names.map(() => '?')].join()
    this.insert = this.database.prepare(`INSERT INTO samples VALUES (${places})`)
  }

  write(rows: readonly Row[]): void {
    this.database.exec('BEGIN')
    for (const { source, timeUs, fields } of rows) {
      this.insert.run(source, timeUs, ...this.names.map((name) => stored(fields[name])))
    }
    this.database.exec('COMMIT')
  }

  close(): void {
    this.database.close()
  }
}

/** SQLite has no booleans. */
function stored(value: Fields[string] | undefined): string | number | null {
  return typeof value === 'boolean' ? Number(value) : (value ?? null)
}

class CsvSink implements Sink {
  private readonly file: number
  private readonly names: readonly string[]

  constructor(path: string, names: readonly string[]) {
    this.names = names
    this.file = openSync(join(path, 'samples.csv'), 'w')
    appendFileSync(this.file, line(['source', 'time_us', ...names]))
  }

  write(rows: readonly Row[]): void {
    let text = ''
    for (const { source, timeUs, fields } of rows) {
      text += line([source, timeUs, ...this.names.map((name) => fields[name])])
    }
    appendFileSync(this.file, text)
    fsyncSync(this.file)
  }

  close(): void {
    closeSync(this.file)
  }
}

function line(values: readonly (Fields[string] | undefined)[]): string {
  return `${values.map(quoted).join()}\n`
}

function quoted(value: Fields[string] | undefined): string {
  const text = String(value ?? '')
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
