import { describe, expect, test } from 'vitest'
import { FORMS, READING_KINDS } from './load.ts'
import { messageDecoder, messageEncoder, messageSamples } from './messages.ts'
import { readingsOf } from './readings.ts'

const BASE_US = 1_790_000_000_000_000

describe.each(READING_KINDS)('messages of %s', (kind) => {
  const readings = readingsOf({ readings: kind, sources: 3, seed: 7 }, BASE_US)

  test.each(FORMS)('%s - every sample comes back with its time', (form) => {
    const encode = messageEncoder(form, 'bench.run-1', readings.sources)
    const decode = messageDecoder(form)
    for (let first = 0; first < 60; first += 20) {
      const samples = readings.samples(2, first, 20)
      const decoded = messageSamples(form, samples).flatMap((part) => decode(encode(2, part)))
      const grain = form === 'frame' ? 1 : 1000
      expect(decoded.map(({ timeUs }) => timeUs)).toEqual(
        samples.map(({ timeUs }) => Math.floor(timeUs / grain) * grain),
      )
    }
  })

  test('a frame carries all samples of a batch, with their fields', () => {
    const samples = readings.samples(0, 0, 100)
    expect(messageSamples('frame', samples)).toEqual([samples])
    const encode = messageEncoder('frame', 'bench.run-1', readings.sources)
    expect(messageDecoder('frame')(encode(0, samples))).toEqual(samples)
  })

  test('json names its vehicle, and has the fields beside', () => {
    const [sample] = readings.samples(1, 5, 1)
    const bytes = messageEncoder('json', 'bench.run-1', readings.sources)(1, [sample!])
    expect(JSON.parse(bytes.toString())).toEqual({
      vehicle_id: readings.sources[1],
      timestamp: new Date(Math.floor(sample!.timeUs / 1000)).toISOString(),
      ...sample!.fields,
    })
  })
})

test('a vehicle in Protobuf takes a third of what it takes in JSON', () => {
  const readings = readingsOf({ sources: 1, seed: 7 }, BASE_US)
  const samples = readings.samples(0, 0, 1)
  const bytes = (form: 'json' | 'protobuf'): number =>
    messageEncoder(form, 'bench.run-1', readings.sources)(0, samples).length
  expect(bytes('protobuf')).toBeLessThan(bytes('json') * 0.45)
})

test('a field that the Protobuf message does not have is refused', () => {
  const encode = messageEncoder('protobuf', 'bench.run-1', ['VH001'])
  const sample = { timeUs: BASE_US, fields: { wipers: true } }
  expect(() => encode(0, [sample])).toThrow(/no field wipers/)
})
