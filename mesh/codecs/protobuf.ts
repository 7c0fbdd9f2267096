// Protocol Buffers, for readers that have a generated decoder for everything and nothing else. A body is
//
//   message Body { repeated Sample samples = 1; }
//   message Sample { uint64 time_us = 1; map<string, Value> other = 2; optional … = 3; optional … = 4; … }
//   message Value { oneof kind { double number = 1; bool flag = 2; string text = 3; } }
//
// with the schema's fields from 3 on (protobuf-layout.ts). What the schema does not name, or has another
// type than it says, is in `other`, so that every sample comes back as it was.
//
// Reader and Writer of protobufjs, and the layout as plain data: its message types would compile the
// schemas of strangers into code, and leave out nothing that a body should not hold.
import protobuf from 'protobufjs/minimal.js'
import type { Codec } from '../codec.ts'
import { MeshError } from '../errors.ts'
import type { Sample, Value } from '../sample.ts'
import type { Schema } from '../schema.ts'
import { corrupt } from './bytes.ts'
import { checkCount, checkSample } from './limits.ts'
import {
  DELIMITED,
  FIRST_NUMBER,
  FIXED64,
  layoutOf,
  tagOf,
  VARINT,
  type FieldType,
  type Layout,
} from './protobuf-layout.ts'
import { setField } from './set-field.ts'

const { Reader, Writer } = protobuf

const SAMPLE_TAG = tagOf(1, DELIMITED)
const TIME_TAG = tagOf(1, VARINT)
const OTHER_TAG = tagOf(2, DELIMITED)
/** An entry of `other`: a map is a repeated message of key and value. */
const KEY_TAG = tagOf(1, DELIMITED)
const VALUE_TAG = tagOf(2, DELIMITED)
/** A Value. */
const NUMBER_TAG = tagOf(1, FIXED64)
const FLAG_TAG = tagOf(2, VARINT)
const TEXT_TAG = tagOf(3, DELIMITED)

type Fields = Record<string, Value>

class ProtobufCodec implements Codec {
  readonly name = 'protobuf'
  private readonly layouts = new WeakMap<Schema, Layout>()

  encode(samples: readonly Sample[], schema: Schema): Uint8Array {
    checkCount(samples.length)
    const layout = this.layoutOf(schema)
    const out = Writer.create()
    for (const sample of samples) {
      checkSample(sample)
      out.uint32(SAMPLE_TAG).fork()
      writeSample(out, sample, layout)
      out.ldelim()
    }
    return out.finish()
  }

  decode(body: Uint8Array, count: number, schema: Schema): Sample[] {
    checkCount(count)
    const input = Reader.create(Buffer.from(body.buffer, body.byteOffset, body.length))
    try {
      return readSamples(input, count, this.layoutOf(schema))
    } catch (cause) {
      if (cause instanceof MeshError) throw cause
      // The Reader's own words for bytes that are cut short or out of range.
      throw corrupt('not Protobuf', cause)
    }
  }

  private layoutOf(schema: Schema): Layout {
    let layout = this.layouts.get(schema)
    if (layout === undefined) this.layouts.set(schema, (layout = layoutOf(schema)))
    return layout
  }
}

export const protobufCodec: Codec = new ProtobufCodec()

function writeSample(out: protobuf.Writer, { timeUs, fields }: Sample, { byName }: Layout): void {
  // Adding zero turns -0 into 0.
  out.uint32(TIME_TAG).uint64(timeUs + 0)
  for (const [name, value] of Object.entries(fields)) {
    const field = byName.get(name)
    if (field !== undefined && fits(field.type, value)) {
      out.uint32(field.tag)
      write(out, field.type, value)
    } else {
      out.uint32(OTHER_TAG).fork().uint32(KEY_TAG).string(name).uint32(VALUE_TAG)
      write(out, 'Value', value)
      out.ldelim()
    }
  }
}

function fits(type: FieldType, value: Value): boolean {
  if (type === 'double') return typeof value === 'number'
  if (type === 'sint64') return Number.isSafeInteger(value) && !Object.is(value, -0)
  if (type === 'bool') return typeof value === 'boolean'
  return type === 'Value' || typeof value === 'string'
}

function write(out: protobuf.Writer, type: FieldType, value: Value): void {
  if (type === 'double') out.double(value as number)
  else if (type === 'sint64') out.sint64(value as number)
  else if (type === 'bool') out.bool(value as boolean)
  else if (type === 'string') out.string(value as string)
  else writeValue(out.fork(), value).ldelim()
}

function writeValue(out: protobuf.Writer, value: Value): protobuf.Writer {
  if (typeof value === 'number') return out.uint32(NUMBER_TAG).double(value)
  if (typeof value === 'boolean') return out.uint32(FLAG_TAG).bool(value)
  return out.uint32(TEXT_TAG).string(value)
}

function readSamples(input: protobuf.Reader, count: number, layout: Layout): Sample[] {
  const samples: Sample[] = []
  while (input.pos < input.len) {
    if (input.tag() !== SAMPLE_TAG) throw corrupt('something beside samples')
    if (samples.length === count) throw corrupt(`more than ${count} samples`)
    const outerEnd = enter(input)
    samples.push(readSample(input, layout))
    leave(input, outerEnd)
  }
  if (samples.length < count) throw corrupt(`${samples.length} samples, not ${count}`)
  return samples
}

function readSample(input: protobuf.Reader, layout: Layout): Sample {
  let timeUs = 0
  const fields: Fields = {}
  while (input.pos < input.len) {
    const tag = input.tag()
    if (tag === TIME_TAG) timeUs = exact(input.uint64())
    else if (tag === OTHER_TAG) readOther(input, fields)
    else {
      const field = layout.fields[(tag >>> 3) - FIRST_NUMBER]
      if (field?.tag !== tag) throw corrupt(`field ${tag >>> 3} of wire type ${tag & 7}`)
      setField(fields, field.name, read(input, field.type))
    }
  }
  return { timeUs, fields }
}

function readOther(input: protobuf.Reader, fields: Fields): void {
  const outerEnd = enter(input)
  // Protobuf leaves out what is empty.
  let name = ''
  let value: Value | undefined
  while (input.pos < input.len) {
    const tag = input.tag()
    if (tag === KEY_TAG) name = input.string()
    else if (tag === VALUE_TAG) value = readValue(input)
    else throw corrupt(`tag ${tag} in a field the schema does not name`)
  }
  leave(input, outerEnd)
  if (value === undefined) throw corrupt(`field ${JSON.stringify(name)} has no value`)
  setField(fields, name, value)
}

function read(input: protobuf.Reader, type: FieldType): Value {
  if (type === 'double') return input.double()
  if (type === 'sint64') return exact(input.sint64())
  if (type === 'bool') return input.bool()
  return type === 'string' ? input.string() : readValue(input)
}

function readValue(input: protobuf.Reader): Value {
  const outerEnd = enter(input)
  let value: Value | undefined
  while (input.pos < input.len) {
    const tag = input.tag()
    if (tag === NUMBER_TAG) value = input.double()
    else if (tag === FLAG_TAG) value = input.bool()
    else if (tag === TEXT_TAG) value = input.string()
    else throw corrupt(`tag ${tag} in a value`)
  }
  leave(input, outerEnd)
  if (value === undefined) throw corrupt('a value of no kind')
  return value
}

/** Reads the length of a message and makes its end the end of the input; returns where that was. */
function enter(input: protobuf.Reader): number {
  const size = input.size()
  const outerEnd = input.len
  if (size > outerEnd - input.pos) throw corrupt(`${size} bytes wanted at ${input.pos}`)
  input.len = input.pos + size
  return outerEnd
}

function leave(input: protobuf.Reader, outerEnd: number): void {
  if (input.pos !== input.len) throw corrupt(`a message ends at ${input.pos}, not ${input.len}`)
  input.len = outerEnd
}

function exact({ low, high, unsigned }: protobuf.Long): number {
  const value = (unsigned ? high >>> 0 : high) * 2 ** 32 + (low >>> 0)
  if (!Number.isSafeInteger(value)) throw corrupt(`integer ${value} is not exact`)
  return value
}
