// The bodies of requests between stores, checked. Peers speak the same version, but what comes in on
// a port may be from anybody.
import { z } from 'zod'
import type { Epoch } from '../../mesh/index.ts'
import { StorageError } from '../errors.ts'
import type {
  DifferencesRequest,
  DigestRequest,
  FramesRequest,
  ScanRequest,
} from '../query/peer.ts'
import { AGGREGATES, OPERATORS } from '../query/query.ts'

const timeUs = z.int().nonnegative()
const epoch = z.custom<Epoch>((value) => /^[0-9a-f]{16}$/.test(String(value)), {
  message: 'an epoch is 16 hex digits',
})
const runs = z
  .array(z.int().positive())
  .refine((flat) => flat.length % 2 === 0 && flat.every((n, i) => i === 0 || n >= flat[i - 1]!), {
    message: 'runs are pairs [a, b] in order',
  })
const order = z.enum(['asc', 'desc'])
const selection = {
  stream: z.string(),
  sources: z.array(z.string()).optional(),
  fields: z.array(z.string()).optional(),
  where: z.array(
    z.object({
      field: z.string(),
      op: z.enum(OPERATORS),
      value: z.union([z.number(), z.string(), z.boolean()]),
    }),
  ),
  limit: z.int().positive().optional(),
}
const range = { ...selection, fromUs: timeUs, toUs: timeUs, order }
const query = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('latest'), ...selection, fromUs: timeUs }),
  z.object({ kind: z.literal('range'), ...range }),
  z.object({
    kind: z.literal('downsample'),
    ...range,
    everyUs: z.int().positive(),
    aggregates: z.array(z.enum(AGGREGATES)),
    by: z.enum(['source', 'stream']),
  }),
])

export const digestRequest: z.ZodType<DigestRequest> = z.object({
  stream: z.string().optional(),
  sources: z.array(z.string()).optional(),
  shards: z.array(z.int().nonnegative()).optional(),
})

export const differencesRequest: z.ZodType<DifferencesRequest> = z.object({
  life: z.string().optional(),
  shards: z.array(
    z.object({
      shard: z.int().nonnegative(),
      fingerprint: z.string(),
      since: z.int().nonnegative().optional(),
    }),
  ),
})

export const scanRequest: z.ZodType<ScanRequest> = z.object({
  query,
  parts: z.array(
    z.object({ source: z.string(), lanes: z.array(z.object({ epoch, runs })).optional() }),
  ),
  after: z
    .object({
      timeUs,
      source: z.string(),
      epoch: epoch.optional(),
      sequence: z.int().positive().optional(),
      index: z.int().nonnegative().optional(),
    })
    .optional(),
})

export const framesRequest: z.ZodType<FramesRequest> = z.object({
  lanes: z.array(z.object({ source: z.string().min(1), stream: z.string().min(1), epoch, runs })),
  bytesMax: z.int().positive(),
})

/** @throws StorageError QUERY_INVALID with where and what. */
export function checkRequest<T>(shape: z.ZodType<T>, body: unknown): T {
  const result = shape.safeParse(body)
  if (result.success) return result.data
  const issue = result.error.issues[0]!
  const where = issue.path.map(String).join('.')
  throw new StorageError('QUERY_INVALID', `request: ${where} ${issue.message}`.trim(), {
    details: { where },
  })
}
