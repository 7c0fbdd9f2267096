// Every vector, both ways: encoding its samples gives its bytes, decoding its bytes gives its samples.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { codecFor } from '../codecs/index.ts'
import { CODECS, encodeFrame, FRAME_KINDS, openFrame } from '../frame.ts'
import type { Sample } from '../sample.ts'
import { compileSchema, schemaFrame, schemaFromFrame } from '../schema.ts'
import { headerOf, makeVectors, spelled, type Vector } from './make.ts'

const vectors = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.json'))
  .map((file) => JSON.parse(readFileSync(join(import.meta.dirname, file), 'utf8')) as Vector)
const withSamples = vectors.filter(({ samples }) => samples !== null)

describe.each(vectors.map((vector) => [vector.name, vector] as const))('%s', (_, vector) => {
  it('has a frame with its header and body', () => {
    const frame = openFrame(Buffer.from(vector.frame, 'hex'))
    expect(headerOf(frame)).toEqual(vector.header)
    expect(encodeFrame(vector.header, frame.body).toString('hex')).toBe(vector.frame)
  })
})

describe.each(withSamples.map((vector) => [vector.name, vector] as const))('%s', (_, vector) => {
  const schema = compileSchema(vector.schema!)

  it('decodes to its samples', () => {
    const { body, codec, count, schemaId } = openFrame(Buffer.from(vector.frame, 'hex'))
    expect(schemaId).toBe(schema.id)
    // In sorted order: which field comes first is no part of a sample.
    const decoded = spelled(codecFor(codec).decode(body, count, schema))
    expect(sorted(decoded)).toBe(sorted(vector.samples))
  })

  it.skipIf(vector.isDecodeOnly)('is what its samples encode to', () => {
    const samples = unspelled(vector.samples!)
    const body = codecFor(vector.header.codec).encode(samples, schema)
    expect(encodeFrame(vector.header, body).toString('hex')).toBe(vector.frame)
  })
})

describe('the vectors', () => {
  it('are those that make.ts makes', () => {
    const made = makeVectors()
    expect(vectors.map(({ name }) => name)).toEqual(made.map(({ name }) => name).sort())
    for (const vector of made) {
      if (vector.isDecodeOnly) continue
      const stored = vectors.find(({ name }) => name === vector.name)
      expect(JSON.stringify(stored)).toBe(JSON.stringify(vector))
    }
  })

  it('of frames without samples hold their bodies', () => {
    for (const { frame, body } of vectors.filter(({ samples }) => samples === null)) {
      expect(openFrame(Buffer.from(frame, 'hex')).body.toString()).toBe(body)
    }
  })

  it('cover every kind of frame and every codec there is', () => {
    const kinds = new Set(vectors.map(({ header }) => header.kind))
    const codecs = new Set(vectors.map(({ header }) => header.codec))
    expect([...kinds].sort()).toEqual([...FRAME_KINDS].sort())
    expect([...codecs].sort()).toEqual([...CODECS].sort())
  })

  it('hold the schema that the others name, but for one with fields of every type', () => {
    const { frame } = vectors.find(({ name }) => name === 'schema')!
    const schema = schemaFromFrame(openFrame(Buffer.from(frame, 'hex')))
    expect(schemaFrame(schema).toString('hex')).toBe(frame)
    const others = withSamples.filter(({ header }) => header.schemaId !== schema.id)
    expect(others.map(({ name }) => name)).toEqual(['protobuf-types'])
  })
})

describe('docs/wire-format.md', () => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/wire-format.md'), 'utf8')

  it('shows the bytes of columnar-steps as its worked example', () => {
    const block = /```hex\n([^`]+)```/.exec(text)![1]!
    const lines = block.trimEnd().split('\n')
    let offset = 0
    const bytes = lines.map((line) => {
      const [, at, hex] = /^([0-9a-f]{2}) {2}((?:[0-9a-f]{2} ?)+)/.exec(line)!
      expect(`${Number.parseInt(at!, 16)} in ${line}`).toBe(`${offset} in ${line}`)
      const part = hex!.replaceAll(' ', '')
      offset += part.length / 2
      return part
    })
    const vector = vectors.find(({ name }) => name === 'columnar-steps')!
    expect(bytes.join('')).toBe(vector.frame)
  })

  it('names every vector file it links to', () => {
    for (const [, file] of text.matchAll(/mesh\/vectors\/([\w-]+\.json)/g)) {
      expect(vectors.map(({ name }) => `${name}.json`)).toContain(file)
    }
  })
})

/** The JSON codec's own decoder, fed with the samples as spelled. */
function unspelled(samples: readonly unknown[]): Sample[] {
  const body = Buffer.from(JSON.stringify(samples))
  const schema = compileSchema({ type: 'object', properties: {} })
  return codecFor('json').decode(body, samples.length, schema)
}

function sorted(json: unknown): string {
  return JSON.stringify(json, (_, value: unknown) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}
