import { expect, test } from 'vitest'
import { compileSchema } from '../../mesh/index.ts'
import { thresholdSchema, windowSchema } from './output-schemas.ts'
import { Thresholds, type ThresholdDefinition } from './thresholds.ts'
import { TumblingWindows, type WindowDefinition } from './windows.ts'

const input = {
  type: 'object',
  properties: { speed: { type: 'number', 'x-unit': 'km/h' }, id: { type: 'string' } },
}

const window: WindowDefinition = {
  name: 'w',
  stream: 'vehicle.motion',
  output: 'vehicle.motion.w',
  everyUs: 10,
  latenessUs: 0,
  idleUs: 10,
  fields: ['speed', 'unknown'],
  aggregates: ['count', 'avg', 'max'],
}

const threshold: ThresholdDefinition = {
  name: 'fast',
  stream: 'vehicle.motion',
  output: 'vehicle.motion.fast',
  field: 'speed',
  above: 130,
  hysteresis: 0,
}

test('units - those of the input field, none for counts and for fields that are not known', () => {
  const { properties } = windowSchema(window, input)
  expect(properties).toMatchObject({
    speed_avg: { type: 'number', 'x-unit': 'km/h' },
    speed_count: { type: 'integer' },
    unknown_max: { type: 'number' },
  })
  expect((properties as Record<string, object>)['unknown_max']).not.toHaveProperty('x-unit')
  expect(thresholdSchema(threshold, input)['properties']).toMatchObject({
    value: { 'x-unit': 'km/h' },
    threshold: { 'x-unit': 'km/h' },
  })
})

test('results - fit the schema of their stream, also a window without any number', () => {
  const schema = compileSchema(windowSchema(window))
  const operator = new TumblingWindows(window)
  operator.add('VH001', { timeUs: 1, fields: { speed: 0.5 } }, 1)
  operator.add('VH002', { timeUs: 1, fields: { speed: NaN } }, 1)
  for (const { fields } of operator.drain()) expect(schema.validate(fields)).toBeUndefined()

  const crossings = compileSchema(thresholdSchema(threshold, input))
  const [raised] = new Thresholds(threshold).add('VH001', { timeUs: 1, fields: { speed: 131 } }, 1)
  expect(crossings.validate(raised!.fields)).toBeUndefined()
})
