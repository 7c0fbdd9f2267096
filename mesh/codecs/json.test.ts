import { describe, expect, it } from 'vitest'
import { compileSchema } from '../schema.ts'
import { jsonCodec } from './json.ts'

const SCHEMA = compileSchema({ type: 'object', properties: {} })
const text = (body: Uint8Array): string => Buffer.from(body).toString('utf8')

describe('json codec', () => {
  it('writes samples as anybody would', () => {
    const samples = [{ timeUs: 5, fields: { speed: 12.5, door: 'open', moving: true } }]
    expect(text(jsonCodec.encode(samples, SCHEMA))).toBe(
      '[{"timeUs":5,"fields":{"speed":12.5,"door":"open","moving":true}}]',
    )
  })

  it('spells the numbers that JSON lacks', () => {
    const fields = { a: NaN, b: -Infinity, c: Infinity, d: -0, e: 0 }
    const body = jsonCodec.encode([{ timeUs: 0, fields }], SCHEMA)
    expect(text(body)).toBe(
      '[{"timeUs":0,"fields":{"a":{"number":"NaN"},"b":{"number":"-Infinity"},' +
        '"c":{"number":"Infinity"},"d":{"number":"-0"},"e":0}}]',
    )
    expect(jsonCodec.decode(body, 1, SCHEMA)).toStrictEqual([{ timeUs: 0, fields }])
  })

  it('reads -0 written plainly, as other encoders do', () => {
    const body = Buffer.from('[{"timeUs":0,"fields":{"a":-0.0}}]')
    expect(jsonCodec.decode(body, 1, SCHEMA)[0]!.fields['a']).toBe(-0)
  })

  it.each([
    '',
    'null',
    '{}',
    '[]',
    '[null]',
    '[{"timeUs":0}]',
    '[{"fields":{}}]',
    '[{"timeUs":-1,"fields":{}}]',
    '[{"timeUs":0.5,"fields":{}}]',
    '[{"timeUs":0,"fields":[]}]',
    '[{"timeUs":0,"fields":{"a":null}}]',
    '[{"timeUs":0,"fields":{"a":{"number":"1"}}}]',
    '[{"timeUs":0,"fields":{"a":{"number":NaN}}}]',
    '[{"timeUs":0,"fields":{}},{"timeUs":0,"fields":{}}]',
    '['.repeat(100_000),
  ])('refuses %.60s', (json) => {
    expect(() => jsonCodec.decode(Buffer.from(json), 1, SCHEMA)).toThrow(
      expect.objectContaining({ code: 'MESH_BODY_CORRUPT' }),
    )
  })
})
