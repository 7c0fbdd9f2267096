// MessagePack, for readers in other languages that have no columnar decoder. Rows with the same
// fields share one list of names at the head of the body, so any reader can read it on its own:
//
//   [ [[name, …], …],  [[structure index, timeUs, value, …], …] ]
//
// Plain arrays and not msgpackr's record extension, which only msgpackr reads, which renames a
// field `__proto__`, and which compiles the names it receives into code. Bodies are walked before
// msgpackr sees them: no maps, no extensions, no length that is not there.
import { Packr, Unpackr } from 'msgpackr'
import type { Codec } from '../codec.ts'
import type { Sample, Value } from '../sample.ts'
import { corrupt } from './bytes.ts'
import { checkCount, checkSample, isValue } from './limits.ts'

/** msgpackr writes -0 as the integer 0; an empty binary, no value otherwise, stands for it. */
const NEGATIVE_ZERO = new Uint8Array(0)
/** The deepest value lies in body, structures or rows, row. */
const DEPTH_MAX = 4

const packr = new Packr({ useRecords: false, variableMapSize: true })
// Other encoders write whole numbers above 32 bits as 64-bit integers; Walk refuses inexact ones.
const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number' })

type Row = readonly (Value | Uint8Array)[]

export const msgpackCodec: Codec = {
  name: 'msgpack',
  encode(samples) {
    checkCount(samples.length)
    const structures = new Map<string, number>()
    const names: string[][] = []
    const rows = samples.map((sample): Row => {
      checkSample(sample)
      const { timeUs, fields } = sample
      const keys = Object.keys(fields)
      const key = JSON.stringify(keys)
      let index = structures.get(key)
      if (index === undefined) {
        index = names.push(keys) - 1
        structures.set(key, index)
      }
      return [index, timeUs + 0, ...Object.values(fields).map(packable)]
    })
    // A copy: msgpackr hands out a view of a buffer it goes on writing to.
    return Buffer.copyBytesFrom(packr.pack([names, rows]))
  },
  decode(body, count) {
    checkCount(count)
    const [structures, rows] = parse(body)
    if (rows.length !== count) throw corrupt(`${rows.length} rows, not ${count}`)
    return rows.map((row) => readRow(row, structures))
  },
}

function packable(value: Value): Value | Uint8Array {
  return Object.is(value, -0) ? NEGATIVE_ZERO : value
}

function parse(body: Uint8Array): [structures: unknown[], rows: unknown[]] {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length)
  new Walk(bytes).whole()
  let parsed: unknown
  try {
    parsed = unpackr.unpack(bytes)
  } catch (cause) {
    throw corrupt('not MessagePack', cause)
  }
  if (!Array.isArray(parsed) || parsed.length !== 2 || !parsed.every(Array.isArray)) {
    throw corrupt('not structures and rows')
  }
  return parsed as [unknown[], unknown[]]
}

function readRow(row: unknown, structures: readonly unknown[]): Sample {
  if (!Array.isArray(row)) throw corrupt('a row is not an array')
  const [index, timeUs, ...values] = row as unknown[]
  const names = typeof index === 'number' ? structures[index] : undefined
  if (!Array.isArray(names) || names.length !== values.length) {
    throw corrupt(`a row of ${values.length} values does not fit structure ${String(index)}`)
  }
  if (typeof timeUs !== 'number' || !Number.isSafeInteger(timeUs) || timeUs < 0) {
    throw corrupt(`time ${String(timeUs)}`)
  }
  const entries = values.map((value, i): [string, Value] => {
    const name: unknown = names[i]
    if (typeof name !== 'string') throw corrupt('a field name is not a string')
    if (isValue(value)) return [name, value]
    if (value instanceof Uint8Array && value.length === 0) return [name, -0]
    throw corrupt(`field ${JSON.stringify(name)} has no value`)
  })
  return { timeUs: timeUs + 0, fields: Object.fromEntries(entries) }
}

/** Steps through a body without building anything; allows only what `encode` writes and its equals. */
class Walk {
  private readonly bytes: Buffer
  private at = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  /** @throws MeshError MESH_BODY_CORRUPT unless the bytes are exactly one value. */
  whole(): void {
    this.value(DEPTH_MAX)
    if (this.at !== this.bytes.length)
      throw corrupt(`${this.bytes.length - this.at} bytes too many`)
  }

  private value(depth: number): void {
    const token = this.length(1)
    if (token <= 0x7f || token >= 0xe0 || token === 0xc2 || token === 0xc3) return
    if (token >= 0x90 && token <= 0x9f) this.array(token & 0x0f, depth)
    else if (token >= 0xa0 && token <= 0xbf) this.skip(token & 0x1f)
    else if (token === 0xdc || token === 0xdd)
      this.array(this.length(token === 0xdc ? 2 : 4), depth)
    else if (token >= 0xd9 && token <= 0xdb) this.skip(this.length(1 << (token - 0xd9)))
    else if (token === 0xca || token === 0xcb) this.skip(token === 0xca ? 4 : 8)
    else if (token === 0xcf || token === 0xd3) this.long(token === 0xd3)
    else if (token >= 0xcc && token <= 0xd2) this.skip(1 << (token & 3))
    else if (token !== 0xc4 || this.length(1) !== 0) throw corrupt(`token 0x${token.toString(16)}`)
  }

  private long(isSigned: boolean): void {
    const at = this.at
    this.skip(8)
    const value = isSigned ? this.bytes.readBigInt64BE(at) : this.bytes.readBigUInt64BE(at)
    if (!Number.isSafeInteger(Number(value))) throw corrupt(`integer ${value} is not exact`)
  }

  private array(length: number, depth: number): void {
    if (depth === 0) throw corrupt('arrays too deep')
    for (let i = 0; i < length; i++) this.value(depth - 1)
  }

  private length(size: number): number {
    const at = this.at
    this.skip(size)
    return this.bytes.readUIntBE(at, size)
  }

  private skip(size: number): void {
    this.at += size
    if (this.at > this.bytes.length) throw corrupt('cut short')
  }
}
