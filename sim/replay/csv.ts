// CSV, row by row, with the line of each row as an editor shows it. RFC 4180, any delimiter, LF or
// CRLF line by line, quoted fields over several lines, empty lines passed over.
//
// Ours rather than a library because of what happens at a broken row: csv-parse 7 with
// skip_records_with_error takes the rest of the file into a quote that never closes, ends the file at
// a row over its size limit, and counts CRLF inside quotes as two lines (tried, all three). Here a
// quote that does not close costs the one line it opened on: reading goes on with the next.
import { refuse, type RowRefusal } from './rows.ts'

/** Longest row in characters, and most lines of one; beyond it a quote is taken as never closed. */
export const ROW_CHARS_MAX = 65_536
const ROW_LINES_MAX = 64

export interface CsvRow {
  readonly row: number
  readonly cells: readonly string[]
}

export interface CsvOptions {
  readonly delimiter: string
  /** Undefined: quotes are ordinary text. */
  readonly quote: string | undefined
}

export class CsvReader {
  readonly #options: CsvOptions
  /** Text after the last line end seen. */
  #rest = ''
  /** The line in #rest is already too long: it is dropped until its end comes. */
  #dropping = false
  /** Lines read and not yet a row: the first opened a quote. */
  #open: string[] = []
  #row = 1

  constructor(options: CsvOptions) {
    this.#options = options
  }

  /** The rows that this piece of the file completes. */
  *push(text: string): Generator<CsvRow | RowRefusal> {
    let from = 0
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', from)) {
      yield* this.#endLine(text.slice(from, end))
      from = end + 1
    }
    this.#rest += text.slice(from)
    if (this.#rest.length > ROW_CHARS_MAX) {
      this.#dropping = true
      this.#rest = ''
    }
  }

  /** What is left when the file ends, with or without a last line end. */
  *end(): Generator<CsvRow | RowRefusal> {
    if (this.#rest !== '' || this.#dropping) yield* this.#endLine('')
    yield* this.#settle(true)
  }

  *#endLine(tail: string): Generator<CsvRow | RowRefusal> {
    const line = this.#rest + tail
    const dropped = this.#dropping || line.length > ROW_CHARS_MAX
    this.#rest = ''
    this.#dropping = false
    if (!dropped) {
      this.#open.push(line)
      yield* this.#settle(false)
      return
    }
    yield* this.#settle(true)
    yield refuse(this.#row++, 'too long', `the line exceeds ${ROW_CHARS_MAX} characters`)
  }

  /** Makes rows of the open lines as far as they go; at the end of the file, of all of them. */
  *#settle(atEnd: boolean): Generator<CsvRow | RowRefusal> {
    const lines = this.#open
    let start = 0
    while (start < lines.length) {
      const taken = this.#take(lines, start)
      if (taken === 'open' && !atEnd && this.#mayGrow(lines, start)) break
      if (typeof taken === 'string') {
        const reason = taken === 'open' ? 'a quote opens and never closes' : taken
        yield refuse(this.#row, 'broken quotes', reason)
        start++
        this.#row++
        continue
      }
      if (taken.cells !== undefined) yield { row: this.#row, cells: taken.cells }
      start += taken.lines
      this.#row += taken.lines
    }
    this.#open = start === 0 ? lines : lines.slice(start)
  }

  #mayGrow(lines: readonly string[], start: number): boolean {
    if (lines.length - start >= ROW_LINES_MAX) return false
    let characters = 0
    for (let at = start; at < lines.length; at++) characters += lines[at]!.length
    return characters <= ROW_CHARS_MAX
  }

  /** The row that starts at a line, and how many lines it has; `cells` is undefined for an empty line. */
  #take(lines: readonly string[], start: number) {
    const first = withoutReturn(lines[start]!)
    if (first === '') return { cells: undefined, lines: 1 }
    const { delimiter, quote } = this.#options
    if (quote === undefined || !first.includes(quote)) {
      return { cells: first.split(delimiter), lines: 1 }
    }
    let text = lines[start]!
    for (let count = 1; ; count++) {
      const cells = splitQuoted(withoutReturn(text), delimiter, quote)
      if (typeof cells !== 'string') return { cells, lines: count }
      if (cells !== 'open' || start + count >= lines.length) return cells
      text += `\n${lines[start + count]!}`
    }
  }
}

function withoutReturn(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line
}

/** The fields of a row with quotes, or `open` when it goes on, or what is wrong with its quotes. */
function splitQuoted(text: string, delimiter: string, quote: string): string[] | string {
  const cells: string[] = []
  let at = 0
  for (;;) {
    if (text[at] === quote) {
      const closing = closingQuote(text, at + 1, quote)
      if (closing === -1) return 'open'
      cells.push(text.slice(at + 1, closing).replaceAll(quote + quote, quote))
      at = closing + 1
      if (at < text.length && text[at] !== delimiter) {
        return `a quoted value is followed by ${JSON.stringify(text[at])} instead of a delimiter`
      }
    } else {
      const next = text.indexOf(delimiter, at)
      const end = next === -1 ? text.length : next
      const cell = text.slice(at, end)
      if (cell.includes(quote)) return 'a quote stands inside a value that is not quoted'
      cells.push(cell)
      at = end
    }
    if (at >= text.length) return cells
    at++
  }
}

/** Where the field ends: the first quote that is not doubled. */
function closingQuote(text: string, from: number, quote: string): number {
  let at = text.indexOf(quote, from)
  while (at !== -1 && text[at + 1] === quote) at = text.indexOf(quote, at + 2)
  return at
}
