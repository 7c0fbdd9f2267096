// Records inside one large JSON document, found by their path and parsed one at a time: only the keys
// on the way down and one record are in memory. The path is keys joined by dots; `{name}` stands for
// any key (or list index) and hands it to the mapping as a column:
//
//   {station}.readings.{time}    { "12697": { "info": …, "readings": { "1555748280": { … } } } }
//
// A record that is no object is refused and reading goes on. A document broken between records
// cannot be read on for certain: that is an error.
import { SimError } from '../errors.ts'
import { ROW_CHARS_MAX } from './csv.ts'
import { refuse, type RowRefusal } from './rows.ts'

export interface JsonRecord {
  readonly row: number
  readonly record: Readonly<Record<string, unknown>>
  /** The keys that `{name}` parts of the path matched. */
  readonly captured: Readonly<Record<string, string>>
}

/** A container being read: its key or index now, and what may come next. */
interface Level {
  readonly list: boolean
  key: string
  index: number
  expects: 'key' | 'first key' | 'colon' | 'value' | 'first value' | 'comma'
}

type Token = 'string' | 'literal' | 'record' | undefined

export class JsonRecordReader {
  readonly #segments: readonly string[]
  readonly #levels: Level[] = []
  #line = 1
  /** The top value has begun. */
  #begun = false
  /** What spans characters, and so may span pieces of the file. */
  #token: Token
  #text = ''
  #escaped = false
  #inString = false
  #depth = 0
  #recordLine = 1
  #tooLong = false

  constructor(path: string) {
    this.#segments = path.split('.')
  }

  *push(text: string): Generator<JsonRecord | RowRefusal> {
    for (let at = 0; at < text.length; at++) {
      const character = text[at]!
      // A literal is the one token that ends on the character after it.
      if (this.#token === 'literal' && /[\s,\]}]/.test(character)) yield* this.#endLiteral()
      if (this.#token === undefined) this.#structure(character)
      else {
        const found = this.#continueToken(character)
        if (found !== undefined) yield found
      }
      if (character === '\n') this.#line++
    }
  }

  *end(): Generator<JsonRecord | RowRefusal> {
    if (this.#token === 'literal') yield* this.#endLiteral()
    if (!this.#begun) throw this.#broken('it is empty')
    if (this.#token !== undefined || this.#levels.length > 0) {
      throw this.#broken('it ends before its last bracket is closed')
    }
  }

  #structure(character: string): void {
    if (/\s/.test(character)) return
    const level = this.#levels.at(-1)
    if (level === undefined) {
      if (this.#begun) throw this.#broken(`${character} follows the end of the document`)
      this.#begun = true
      this.#startValue(character)
      return
    }
    if (character === '}' || character === ']') this.#close(level, character)
    else if (character === ',' && level.expects === 'comma') this.#next(level)
    else if (character === ':' && level.expects === 'colon') level.expects = 'value'
    else if (character === '"' && level.expects.endsWith('key')) this.#startText('string', '"')
    else if (level.expects.endsWith('value')) this.#startValue(character)
    else throw this.#broken(`${character} is not expected here`)
  }

  #next(level: Level): void {
    level.index++
    level.expects = level.list ? 'value' : 'key'
  }

  #close(level: Level, character: string): void {
    const matches = level.list === (character === ']')
    if (!matches || !(level.expects === 'comma' || level.expects.startsWith('first'))) {
      throw this.#broken(`${character} is not expected here`)
    }
    this.#levels.pop()
    this.#valueDone()
  }

  #startValue(character: string): void {
    if (this.#atRecord()) {
      this.#recordLine = this.#line
      this.#depth = 0
      this.#inString = false
      this.#tooLong = false
      if (character === '{') {
        this.#depth = 1
        this.#startText('record', character)
        return
      }
    }
    if (character === '{' || character === '[') {
      const list = character === '['
      this.#levels.push({ list, key: '', index: 0, expects: list ? 'first value' : 'first key' })
    } else this.#startText(character === '"' ? 'string' : 'literal', character)
  }

  #startText(token: Token, character: string): void {
    this.#token = token
    this.#text = character
    this.#escaped = false
  }

  #continueToken(character: string): JsonRecord | RowRefusal | undefined {
    if (this.#text.length < ROW_CHARS_MAX) this.#text += character
    else this.#tooLong = true
    if (this.#token === 'record') return this.#continueRecord(character)
    if (this.#token === 'literal') return undefined
    if (this.#escaped) this.#escaped = false
    else if (character === '\\') this.#escaped = true
    else if (character === '"') return this.#endString()
    return undefined
  }

  #continueRecord(character: string): JsonRecord | RowRefusal | undefined {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false
      else if (character === '\\') this.#escaped = true
      else if (character === '"') this.#inString = false
    } else if (character === '"') this.#inString = true
    else if (character === '{' || character === '[') this.#depth++
    else if ((character === '}' || character === ']') && --this.#depth === 0) return this.#record()
    return undefined
  }

  #record(): JsonRecord | RowRefusal {
    const row = this.#recordLine
    const captured = this.#captured()
    const text = this.#text
    this.#endToken()
    this.#valueDone()
    if (this.#tooLong)
      return refuse(row, 'too long', `the record exceeds ${ROW_CHARS_MAX} characters`)
    const record = parseObject(text)
    return record === undefined
      ? refuse(row, 'not JSON', 'the record is not valid JSON')
      : { row, record, captured }
  }

  #endString(): RowRefusal | undefined {
    const level = this.#levels.at(-1)
    const text = this.#text
    this.#endToken()
    if (level !== undefined && level.expects.endsWith('key')) {
      level.key = this.#parsed(text)
      level.expects = 'colon'
      return undefined
    }
    const refusal = this.#notObject()
    this.#valueDone()
    return refusal
  }

  *#endLiteral(): Generator<RowRefusal> {
    const text = this.#text
    this.#endToken()
    this.#parsed(text)
    const refusal = this.#notObject()
    if (refusal !== undefined) yield refusal
    this.#valueDone()
  }

  /** The refusal of a string or literal that stands where a record should. */
  #notObject(): RowRefusal | undefined {
    if (!this.#atRecord()) return undefined
    return refuse(this.#recordLine, 'not JSON', 'the record is no object')
  }

  #endToken(): void {
    this.#token = undefined
    this.#text = ''
  }

  #valueDone(): void {
    const level = this.#levels.at(-1)
    if (level !== undefined) level.expects = 'comma'
  }

  #parsed(text: string): string {
    try {
      return String(JSON.parse(text))
    } catch {
      throw this.#broken(`${text.slice(0, 40)} is not a JSON value`)
    }
  }

  #atRecord(): boolean {
    if (this.#levels.length !== this.#segments.length) return false
    return this.#levels.every((level, depth) => {
      const segment = this.#segments[depth]!
      return segment.startsWith('{') || segment === keyOf(level)
    })
  }

  #captured(): Record<string, string> {
    const captured: Record<string, string> = {}
    for (const [depth, segment] of this.#segments.entries()) {
      if (segment.startsWith('{')) captured[segment.slice(1, -1)] = keyOf(this.#levels[depth]!)
    }
    return captured
  }

  #broken(reason: string): SimError {
    return new SimError('SIM_FILE_FORMAT', `the JSON is broken at line ${this.#line}: ${reason}`, {
      details: { line: this.#line },
    })
  }
}

function keyOf(level: Level): string {
  return level.list ? String(level.index) : level.key
}

/** The object a text holds; undefined when it holds none. */
export function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isObject ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
