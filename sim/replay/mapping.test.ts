import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { SimError } from '../errors.ts'
import { loadMapping, mappingSchema, parseMapping } from './mapping.ts'

const FOLDER = join(import.meta.dirname, 'mappings')

const GOOD = `stream: bus.motion
format: csv
source: { column: id }
time: { column: at, format: iso, zone: America/Chicago }
fields:
  - column: v
    field: speed
    type: number
    convert: { from: mph, to: km/h }
    vss: Vehicle.Speed
  - { column: note, field: note, type: string, optional: true }
`

function faultOf(text: string): string {
  try {
    parseMapping(text, 'm.yaml')
  } catch (error) {
    if (error instanceof SimError && error.code === 'SIM_MAPPING_INVALID') return error.message
    throw error
  }
  throw new Error('the mapping was accepted')
}

describe('mapping', () => {
  test('every shipped mapping is valid', async () => {
    const files = (await readdir(FOLDER)).filter((file) => file.endsWith('.yaml'))
    expect(files.length).toBeGreaterThanOrEqual(5)
    for (const file of files) await loadMapping(join(FOLDER, file))
  })

  test('yields the schema of its stream, with units after conversion and VSS names', () => {
    expect(mappingSchema(parseMapping(GOOD))).toEqual({
      title: 'bus.motion',
      type: 'object',
      properties: {
        speed: { type: 'number', 'x-unit': 'km/h', 'x-vss': 'Vehicle.Speed' },
        note: { type: 'string' },
      },
      required: ['speed'],
      additionalProperties: false,
    })
  })

  test.each([
    [
      'an unknown key',
      GOOD.replace('column: v\n', 'colum: v\n'),
      'm.yaml:6: fields[0].colum: unknown key, did you mean "column"?',
    ],
    [
      'an unknown top key',
      `${GOOD}sorce: x\n`,
      'm.yaml:12: sorce: unknown key, did you mean "source"?',
    ],
    [
      'an unknown unit',
      GOOD.replace('mph', 'mhp'),
      'm.yaml:9: fields[0].convert.from: unknown unit "mhp", did you mean "mph"?',
    ],
    [
      'units of two kinds',
      GOOD.replace('mph', 'kelvin'),
      'm.yaml:9: fields[0].convert: kelvin is a temperature and km/h is a speed',
    ],
    [
      'units and numbers together',
      GOOD.replace('from: mph,', 'from: mph, scale: 2,'),
      'fields[0].convert: give either from and to, or scale and offset',
    ],
    [
      'a zone that is none',
      GOOD.replace('America/Chicago', 'America/Chigaco'),
      'm.yaml:4: time: zone "America/Chigaco" is not',
    ],
    [
      'a field mapped twice',
      GOOD.replace('field: note', 'field: speed'),
      'm.yaml:11: fields[1].field: speed is mapped twice',
    ],
    [
      'no source',
      GOOD.replace('{ column: id }', '{ prefix: x }'),
      'm.yaml:3: source: give either column or value',
    ],
    [
      'a pattern without its text',
      GOOD.replace('format: iso', 'format: pattern'),
      'time.pattern: is needed',
    ],
    [
      'json keys on a csv',
      `${GOOD}json: { records: a.b }\n`,
      'm.yaml:12: json: belongs to format json',
    ],
    [
      'a string converted',
      GOOD.replace('type: number', 'type: string'),
      'a string cannot be converted',
    ],
    ['a wrong type', GOOD.replace('type: number', 'type: float'), 'm.yaml:8: fields[0].type: '],
    [
      'a format left out',
      GOOD.replace('format: csv\n', ''),
      'm.yaml:1: format is missing: one of csv, json, jsonl',
    ],
    ['a stream left out', GOOD.replace('stream: bus.motion\n', ''), 'm.yaml:1: stream is missing'],
    [
      'a field type left out',
      GOOD.replace('    type: number\n', ''),
      'm.yaml:6: fields[0].type is missing: one of number, integer, string, boolean',
    ],
    ['broken YAML', 'stream: [a\nformat: csv', 'm.yaml:2: not YAML'],
    ['an empty file', '', 'm.yaml:1: '],
  ])('%s is refused with its line, its place and what to do', (_what, text, expected) => {
    expect(faultOf(text)).toContain(expected)
  })

  test('all faults are told at once', () => {
    const text = GOOD.replace('stream: bus.motion', 'stream: "bus motion"').replace(
      'id }',
      'id, x: 1 }',
    )
    const message = faultOf(text)
    expect(message).toContain('m.yaml:1: stream: may hold only')
    expect(message).toContain('m.yaml:3: source.x: unknown key')
  })

  test('a mapping file that is not there is said to be not there', async () => {
    await expect(loadMapping('/no/such.yaml')).rejects.toMatchObject({ code: 'SIM_FILE_NOT_FOUND' })
  })
})
