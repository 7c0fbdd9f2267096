// The query as people and programs send it (docs/http-api.md), checked and turned into the form the
// rest of query/ works with: times in microseconds, every default filled in. Whatever is wrong is
// refused with what, where, and what would be right, never guessed at.
import { z } from 'zod'
import { StorageError } from '../errors.ts'
import { didYouMean } from '../nearest.ts'
import { DURATION_FORMS, parseDuration, parseTime, TIME_FORMS } from './time.ts'

export const QUERY_KINDS = ['latest', 'range', 'downsample'] as const
export const AGGREGATES = ['count', 'sum', 'avg', 'min', 'max', 'first', 'last'] as const
export const OPERATORS = ['=', '!=', '<', '<=', '>', '>='] as const

export type QueryKind = (typeof QUERY_KINDS)[number]
export type Aggregate = (typeof AGGREGATES)[number]
export type Operator = (typeof OPERATORS)[number]
export type Order = 'asc' | 'desc'

/** More buckets than this in one answer is a slip of the pen (10 ms over a year), not a question. */
export const BUCKETS_MAX = 1_000_000
const TIME_MAX = Number.MAX_SAFE_INTEGER

export interface Condition {
  readonly field: string
  readonly op: Operator
  readonly value: number | string | boolean
}

interface Selection {
  readonly stream: string
  /** Absent: every source of the stream. */
  readonly sources?: readonly string[] | undefined
  /** Absent: every field. A sample with none of them is no row. */
  readonly fields?: readonly string[] | undefined
  /** All must hold. A condition on a field the sample lacks does not hold. */
  readonly where: readonly Condition[]
  readonly limit?: number | undefined
}

/** The newest sample of each source; `where` and `fromUs` then choose among these. */
export interface LatestQuery extends Selection {
  readonly kind: 'latest'
  readonly fromUs: number
}

/** Samples with event time in [fromUs, toUs). */
export interface RangeQuery extends Selection {
  readonly kind: 'range'
  readonly fromUs: number
  readonly toUs: number
  readonly order: Order
}

/** Buckets of everyUs, aligned to the Unix epoch, over samples in [fromUs, toUs). */
export interface DownsampleQuery extends Selection {
  readonly kind: 'downsample'
  readonly fromUs: number
  readonly toUs: number
  readonly order: Order
  readonly everyUs: number
  readonly aggregates: readonly Aggregate[]
  readonly by: 'source' | 'stream'
}

export type Query = LatestQuery | RangeQuery | DownsampleQuery

const name = z.string().min(1).max(255)
const selection = {
  stream: name,
  sources: z.array(name).min(1).max(100_000).optional(),
  fields: z.array(z.string()).min(1).max(10_000).optional(),
  where: z
    .array(
      z.strictObject({
        field: z.string(),
        op: z.enum(OPERATORS),
        value: z.union([z.number(), z.string(), z.boolean()]),
      }),
    )
    .max(100)
    .optional(),
  limit: z.int().positive().optional(),
}
const time = z.union([z.string(), z.number()]).optional()
const order = z.enum(['asc', 'desc']).optional()

const SHAPES = {
  latest: z.strictObject({ kind: z.literal('latest'), ...selection, from: time }),
  range: z.strictObject({ kind: z.literal('range'), ...selection, from: time, to: time, order }),
  downsample: z.strictObject({
    kind: z.literal('downsample'),
    ...selection,
    from: time,
    to: time,
    order,
    every: z.string(),
    aggregates: z.array(z.enum(AGGREGATES)).min(1).optional(),
    by: z.enum(['source', 'stream']).optional(),
  }),
}

/**
 * Checks a query as it came in and fills in its defaults; relative times count from `nowUs`.
 * @throws StorageError QUERY_INVALID saying what is wrong, where, and what would be right.
 */
export function parseQuery(input: unknown, nowUs: number): Query {
  const kind = kindOf(input)
  if (kind === 'latest') {
    const query = check(SHAPES.latest, input)
    return { kind, ...selectionOf(query), fromUs: timeOf('from', query.from, nowUs) ?? 0 }
  }
  if (kind === 'range') {
    const query = check(SHAPES.range, input)
    return { kind, ...selectionOf(query), ...rangeOf(query, nowUs), order: query.order ?? 'asc' }
  }
  return downsampleOf(check(SHAPES.downsample, input), nowUs)
}

function downsampleOf(query: z.infer<typeof SHAPES.downsample>, nowUs: number): DownsampleQuery {
  if (query.from === undefined) throw invalid('from', `is missing: give ${TIME_FORMS}`)
  const { fromUs, toUs } = rangeOf({ from: query.from, to: query.to ?? 'now' }, nowUs)
  const everyUs = parseDuration(query.every)
  if (everyUs === undefined || everyUs <= 0) {
    throw invalid('every', `${JSON.stringify(query.every)} is not ${DURATION_FORMS}, above zero`)
  }
  const buckets = Math.ceil((toUs - fromUs) / everyUs)
  if (buckets > BUCKETS_MAX) {
    throw invalid(
      'every',
      `${query.every} makes ${buckets} buckets of this range, at most ${BUCKETS_MAX} are answered: ` +
        'take a longer every or a shorter range',
    )
  }
  return {
    kind: 'downsample',
    ...selectionOf(query),
    fromUs,
    toUs,
    everyUs,
    order: query.order ?? 'asc',
    aggregates: [...new Set(query.aggregates ?? (['avg'] as const))],
    by: query.by ?? 'source',
  }
}

function kindOf(input: unknown): QueryKind {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw invalid('', 'is not a JSON object like {"kind":"latest","stream":"vehicle.motion"}')
  }
  const { kind } = input as { kind?: unknown }
  const known = QUERY_KINDS.find((one) => one === kind)
  if (known !== undefined) return known
  const said = kind === undefined ? 'is missing' : `${JSON.stringify(kind)} is not known`
  const hint = typeof kind === 'string' ? didYouMean(kind, QUERY_KINDS) : ''
  throw invalid('kind', `${said}: one of ${QUERY_KINDS.join(', ')}.${hint}`)
}

function check<T>(shape: z.ZodType<T> & { readonly shape: object }, input: unknown): T {
  const result = shape.safeParse(input)
  if (result.success) return result.data
  // A key that is not known explains one that is missing better than the other way round.
  const { issues } = result.error
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]!
  const path = pathText(issue.path)
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0]!
    const allowed = issue.path.length === 0 ? Object.keys(shape.shape) : ['field', 'op', 'value']
    throw invalid(
      path === '' ? key : `${path}.${key}`,
      `is not a key of this query: it may have ${allowed.join(', ')}.${didYouMean(key, allowed)}`,
    )
  }
  const said = JSON.stringify(valueAt(input, issue.path))
  if (said === undefined) throw invalid(path, `is missing: ${issue.message}`)
  if (issue.code === 'invalid_value') {
    const allowed = issue.values.map(String)
    const hint = didYouMean(said, allowed)
    throw invalid(path, `${said} is not one of ${allowed.join(', ')}.${hint}`)
  }
  throw invalid(path, `is ${said.slice(0, 100)}: ${issue.message}`)
}

function selectionOf(query: {
  stream: string
  sources?: string[] | undefined
  fields?: string[] | undefined
  where?: Condition[] | undefined
  limit?: number | undefined
}): Selection {
  return {
    stream: query.stream,
    where: query.where ?? [],
    ...(query.sources && { sources: [...new Set(query.sources)] }),
    ...(query.fields && { fields: [...new Set(query.fields)] }),
    ...(query.limit !== undefined && { limit: query.limit }),
  }
}

type TimeText = string | number | undefined

function rangeOf(
  range: { from?: TimeText; to?: TimeText },
  nowUs: number,
): { fromUs: number; toUs: number } {
  const fromUs = timeOf('from', range.from, nowUs) ?? 0
  const toUs = timeOf('to', range.to, nowUs) ?? TIME_MAX
  if (fromUs >= toUs) {
    throw invalid(
      'from',
      `${range.from ?? 'the beginning'} is not before to (${range.to ?? 'the end'}): ` +
        'a range holds from and ends just before to',
    )
  }
  return { fromUs, toUs }
}

function timeOf(where: 'from' | 'to', value: TimeText, nowUs: number): number | undefined {
  if (value === undefined) return undefined
  const us = parseTime(value, nowUs)
  if (us === undefined) throw invalid(where, `${JSON.stringify(value)} is not ${TIME_FORMS}`)
  return us
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input
  for (const key of path) value = (value as Record<PropertyKey, unknown> | undefined)?.[key]
  return value
}

function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('')
    .replace(/^\./, '')
}

function invalid(where: string, what: string): StorageError {
  const place = where === '' ? 'query' : `query: ${where}`
  return new StorageError('QUERY_INVALID', `${place} ${what}`, { details: { where } })
}
