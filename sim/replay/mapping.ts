// The mapping file: how the columns of a recording become samples of one stream. YAML, written by
// users, so every fault is told with its line, its place and what to do. Examples in mappings/.
// The mapping also yields the stream's JSON Schema, with x-unit and x-vss.
import { readFile } from 'node:fs/promises'
import { LineCounter, parseDocument, type Document } from 'yaml'
import { z } from 'zod'
import { SimError } from '../errors.ts'
import { suggestion } from './nearest.ts'
import { TIME_FORMATS, timeReader } from './times.ts'
import { UNIT_NAMES, unitLine } from './units.ts'

export const FILE_FORMATS = ['csv', 'json', 'jsonl'] as const
export const FIELD_TYPES = ['number', 'integer', 'string', 'boolean'] as const

const name = z.string().min(1, 'must not be empty')
const streamName = z
  .string()
  .regex(/^[A-Za-z0-9_.-]{1,255}$/, 'may hold only letters, digits . _ -')
const fieldName = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_]*$/, 'must start with a letter and hold only letters, digits and _')
const oneCharacter = z.string().length(1, 'must be exactly one character')
const unit = z.string().superRefine((value, context) => {
  if (UNIT_NAMES.includes(value)) return
  const nearest =
    suggestion(value, UNIT_NAMES) || `; known are ${UNIT_NAMES.join(' ')}, or give scale and offset`
  context.addIssue({ code: 'custom', message: `unknown unit ${JSON.stringify(value)}${nearest}` })
})

const convertShape = z.strictObject({
  from: unit.optional(),
  to: unit.optional(),
  scale: z.number().optional(),
  offset: z.number().optional(),
})

const fieldShape = z.strictObject({
  column: name,
  field: fieldName,
  type: z.enum(FIELD_TYPES),
  unit: name.optional(),
  convert: convertShape.optional(),
  optional: z.boolean().optional(),
  vss: name.optional(),
})

const mappingShape = z
  .strictObject({
    stream: streamName,
    format: z.enum(FILE_FORMATS),
    csv: z
      .strictObject({
        delimiter: oneCharacter.optional(),
        /** `none`: quotes are ordinary text. */
        quote: z.union([oneCharacter, z.literal('none')]).optional(),
      })
      .optional(),
    /** Where the records are: keys joined by dots; `{name}` is any key and becomes a column. */
    json: z.strictObject({ records: name }).optional(),
    source: z.strictObject({
      column: name.optional(),
      value: name.optional(),
      prefix: z.string().optional(),
    }),
    time: z.strictObject({
      column: name,
      format: z.enum(TIME_FORMATS),
      pattern: name.optional(),
      zone: name.optional(),
      ambiguous: z.enum(['refuse', 'earlier', 'later']).optional(),
      origin: name.optional(),
    }),
    fields: z.array(fieldShape).min(1, 'must name at least one field'),
  })
  .superRefine((mapping, context) => {
    for (const { path, message } of faults(mapping)) {
      context.addIssue({ code: 'custom', path: [...path], message })
    }
  })

export type Mapping = z.infer<typeof mappingShape>
export type FieldMapping = z.infer<typeof fieldShape>

interface Fault {
  readonly path: readonly (string | number)[]
  readonly message: string
}

/**
 * Reads and checks a mapping file.
 * @throws SimError SIM_FILE_NOT_FOUND, or SIM_MAPPING_INVALID listing every fault.
 */
export async function loadMapping(file: string): Promise<Mapping> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    throw new SimError('SIM_FILE_NOT_FOUND', `mapping file ${file} cannot be read`, {
      cause,
      details: { file },
    })
  }
  return parseMapping(text, file)
}

/** As loadMapping, for text in hand; `file` is what the faults name. */
export function parseMapping(text: string, file = 'mapping'): Mapping {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines })
  if (document.errors.length > 0) {
    throw invalid(
      file,
      document.errors.map((error) => ({
        line: lines.linePos(error.pos[0]).line,
        message: `not YAML: ${error.message.split('\n')[0]}`,
      })),
    )
  }
  const result = mappingShape.safeParse(document.toJS(), { reportInput: true })
  if (result.success) return result.data
  throw invalid(
    file,
    result.error.issues
      .flatMap((issue) => describe(issue))
      .map(({ path, message }) => ({ line: lineOf(document, lines, path), message })),
  )
}

/** The JSON Schema of the mapped stream. */
export function mappingSchema(mapping: Mapping): Record<string, unknown> {
  const properties = mapping.fields.map((field) => {
    const unit = unitOf(field)
    const property = {
      type: field.type,
      ...(unit === undefined ? {} : { 'x-unit': unit }),
      ...(field.vss === undefined ? {} : { 'x-vss': field.vss }),
    }
    return [field.field, property] as const
  })
  return {
    title: mapping.stream,
    type: 'object',
    properties: Object.fromEntries(properties),
    required: mapping.fields.filter((field) => field.optional !== true).map(({ field }) => field),
    additionalProperties: false,
  }
}

function unitOf(field: FieldMapping): string | undefined {
  return field.unit ?? field.convert?.to
}

/** What the shape alone cannot say: keys that need or exclude one another, and rules that must work. */
function* faults(mapping: z.infer<typeof mappingShape>): Generator<Fault> {
  const { csv, json, format, source, time } = mapping
  if (csv !== undefined && format !== 'csv') {
    yield { path: ['csv'], message: `belongs to format csv, not ${format}; remove it` }
  }
  if (format === 'json' && json === undefined) {
    yield { path: ['json'], message: 'format json needs json.records, the path of the records' }
  }
  if (json !== undefined && format !== 'json') {
    yield { path: ['json'], message: `belongs to format json, not ${format}; remove it` }
  }
  if ((source.column === undefined) === (source.value === undefined)) {
    yield { path: ['source'], message: 'give either column or value' }
  }
  yield* timeFaults(time)
  const seen = new Set<string>()
  for (const [index, field] of mapping.fields.entries()) {
    if (seen.has(field.field)) {
      yield { path: ['fields', index, 'field'], message: `${field.field} is mapped twice` }
    }
    seen.add(field.field)
    yield* convertFaults(field, index)
  }
}

function* timeFaults(time: Mapping['time']): Generator<Fault> {
  if ((time.format === 'pattern') !== (time.pattern !== undefined)) {
    yield { path: ['time', 'pattern'], message: 'is needed with format: pattern, and only there' }
    return
  }
  if (time.origin !== undefined && !time.format.startsWith('epoch')) {
    yield { path: ['time', 'origin'], message: `means nothing with format: ${time.format}` }
  }
  if (time.zone !== undefined && time.format.startsWith('epoch')) {
    yield { path: ['time', 'zone'], message: 'epoch times have no zone; remove it' }
  }
  try {
    timeReader(time)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    yield { path: ['time'], message: error.message }
  }
}

function* convertFaults(field: FieldMapping, index: number): Generator<Fault> {
  const { convert } = field
  if (convert === undefined) return
  const path = ['fields', index, 'convert']
  const named = convert.from !== undefined || convert.to !== undefined
  const numbers = convert.scale !== undefined || convert.offset !== undefined
  if (field.type !== 'number' && field.type !== 'integer') {
    yield { path, message: `a ${field.type} cannot be converted` }
  } else if (named === numbers) {
    yield { path, message: 'give either from and to, or scale and offset' }
  } else if (named && (convert.from === undefined || convert.to === undefined)) {
    yield { path, message: 'needs both from and to' }
  } else if (convert.from !== undefined && convert.to !== undefined) {
    // An unknown unit has been told about already, where it stands.
    const known = UNIT_NAMES.includes(convert.from) && UNIT_NAMES.includes(convert.to)
    const line = known ? unitLine(convert.from, convert.to) : undefined
    if (typeof line === 'string') yield { path, message: line }
    if (field.unit !== undefined && field.unit !== convert.to) {
      yield { path, message: `converts to ${convert.to}, but unit says ${field.unit}` }
    }
  }
}

/** With messages that name the place. */
function describe(issue: z.core.$ZodIssue): Fault[] {
  const path = issue.path.filter((part) => typeof part !== 'symbol')
  if (path.length > 0 && issue.input === undefined && issue.code.startsWith('invalid_')) {
    return [{ path, message: `${pathText(path)} is missing${choicesOf(issue)}` }]
  }
  if (issue.code !== 'unrecognized_keys') return [{ path, message: at(path, issue.message) }]
  const known = keysAt(path)
  return issue.keys.map((key) => {
    const hint = suggestion(key, known) || `; known here are ${known.join(', ')}`
    const place = [...path, key]
    return { path: place, message: at(place, `unknown key${hint}`) }
  })
}

function choicesOf(issue: z.core.$ZodIssue): string {
  return issue.code === 'invalid_value' ? `: one of ${issue.values.join(', ')}` : ''
}

/** The keys the shape allows at a path. */
function keysAt(path: readonly (string | number)[]): string[] {
  let shape: z.core.$ZodType | undefined = mappingShape
  for (const part of path) {
    shape = unwrap(shape)
    if (shape instanceof z.ZodArray) shape = shape.element
    else if (shape instanceof z.ZodObject) shape = shape.shape[part] as z.core.$ZodType | undefined
  }
  const last = unwrap(shape)
  return last instanceof z.ZodObject ? Object.keys(last.shape) : []
}

function unwrap(shape: z.core.$ZodType | undefined): z.core.$ZodType | undefined {
  return shape instanceof z.ZodOptional ? shape.unwrap() : shape
}

function at(path: Fault['path'], message: string): string {
  return path.length === 0 ? message : `${pathText(path)}: ${message}`
}

function pathText(path: readonly (string | number)[]): string {
  return path
    .map((part, at) => (typeof part === 'number' ? `[${part}]` : at === 0 ? part : `.${part}`))
    .join('')
}

/** The line of the nearest node that exists: a missing key is told at its parent. */
function lineOf(document: Document, lines: LineCounter, path: readonly (string | number)[]) {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true) as { range?: [number] } | undefined
    if (node?.range !== undefined) return lines.linePos(node.range[0]).line
  }
  return 1
}

function invalid(file: string, faults: readonly { line: number; message: string }[]): SimError {
  const told = faults.map(({ line, message }) => `${file}:${line}: ${message}`)
  return new SimError('SIM_MAPPING_INVALID', told.join('\n'), { details: { file, faults } })
}
