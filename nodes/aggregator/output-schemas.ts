// JSON Schemas of what operators emit, so that derived streams are stored, charted and exported like
// any other. Units come from the schema of the stream read, where it is known: the average of km/h
// is km/h.
import type { JsonSchema } from '../../mesh/index.ts'
import type { ThresholdDefinition } from './thresholds.ts'
import type { WindowDefinition } from './windows.ts'

type Property = Record<string, unknown>

/** One property per field and aggregate; only counts and the window's end are always there. */
export function windowSchema(definition: WindowDefinition, input?: JsonSchema): JsonSchema {
  const { name, stream, fields, aggregates } = definition
  const required = ['window_end_us']
  const properties: Record<string, Property> = {
    window_end_us: { type: 'integer', minimum: 0, 'x-unit': 'us' },
  }
  for (const field of fields) {
    for (const aggregate of aggregates) {
      const key = `${field}_${aggregate}`
      if (aggregate === 'count') {
        properties[key] = { type: 'integer', minimum: 0 }
        required.push(key)
      } else {
        properties[key] = { type: 'number', ...unitOf(input, field) }
      }
    }
  }
  return { type: 'object', title: `${name}: windows of ${stream}`, properties, required }
}

export function thresholdSchema(definition: ThresholdDefinition, input?: JsonSchema): JsonSchema {
  const { name, stream, field } = definition
  const number = { type: 'number', ...unitOf(input, field) }
  return {
    type: 'object',
    title: `${name}: crossings of ${field} in ${stream}`,
    properties: {
      value: number,
      threshold: number,
      state: { type: 'string', enum: ['raised', 'cleared'] },
    },
    required: ['value', 'threshold', 'state'],
  }
}

function unitOf(input: JsonSchema | undefined, field: string): Property {
  const properties = (input?.['properties'] ?? {}) as Record<string, Property>
  const unit = Object.hasOwn(properties, field) ? properties[field]!['x-unit'] : undefined
  return unit === undefined ? {} : { 'x-unit': unit }
}
