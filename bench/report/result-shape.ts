// What a file must have to be read as a Result: all that pages and comparisons look at.
import { z } from 'zod'

const names = z.record(z.string(), z.number())

const distribution = z.looseObject({
  count: z.number(),
  p50: z.number(),
  p99: z.number(),
  max: z.number(),
  hdr: z.string(),
})

const run = z.looseObject({
  cell: z.string(),
  block: z.number(),
  setting: z.looseObject({
    system: z.string(),
    tier: z.string(),
    tuning: z.string(),
    compress: z.boolean(),
    copies: z.number(),
  }),
  load: z.looseObject({
    form: z.string(),
    samplesPerFrame: z.number(),
    sources: z.number(),
    publishers: z.number(),
    subscribers: z.number(),
    rate: z.number().optional(),
    schedule: z.string(),
    warmupSeconds: z.number(),
    seconds: z.number(),
  }),
  voids: z.array(z.string()),
  isSustained: z.boolean(),
  publishedPerSecond: z.number(),
  receiptsPerSecond: z.number(),
  deliveredPerSecond: z.number(),
  live: distribution.optional(),
  receipt: distribution.optional(),
  lag: distribution.optional(),
  cost: z.looseObject({
    seconds: z.number(),
    cpuSeconds: names,
    fsyncs: z.number().optional(),
    stealShare: z.number(),
  }),
})

// What is no number, or undefined, is null in JSON.
const shown = z.number().nullish()

const axis = z.looseObject({
  label: z.string(),
  unit: z.string().optional(),
  scale: z.enum(['linear', 'log', 'tail']).optional(),
})

const plot = z.looseObject({
  title: z.string(),
  kind: z.enum(['lines', 'bars']),
  x: axis,
  y: axis,
  series: z.array(
    z.looseObject({
      name: z.string(),
      points: z.array(
        z.looseObject({
          x: z.union([z.string(), shown]),
          y: shown,
          low: shown,
          high: shown,
          isHollow: z.boolean().optional(),
        }),
      ),
    }),
  ),
})

const table = z.looseObject({
  columns: z.array(z.looseObject({ name: z.string(), unit: z.string().optional() })),
  rows: z.array(z.array(z.union([z.string(), shown]))),
})

const result = z.looseObject({
  version: z.literal(1),
  scenario: z.string(),
  command: z.string(),
  startedAt: z.iso.datetime(),
  finishedAt: z.iso.datetime(),
  isComplete: z.boolean(),
  notes: z.array(z.string()),
  machine: z.looseObject({
    host: z.string(),
    cpus: z.number(),
    cpuModel: z.string(),
    memoryBytes: z.number(),
    kernel: z.string(),
    node: z.string(),
    filesystem: z.string(),
    fdatasyncUs: z.number(),
    clockOffsetUs: z.number(),
  }),
  versions: z.record(z.string(), z.string()),
  configurations: z.record(z.string(), z.unknown()),
  seed: z.number(),
  runs: z.array(run),
  report: z.looseObject({
    title: z.string(),
    question: z.string(),
    sections: z.array(
      z.looseObject({
        title: z.string(),
        finding: z.string(),
        tables: z.array(table).optional(),
        plots: z.array(plot).optional(),
      }),
    ),
  }),
})

/** Why a value is no result: the first thing that is wrong, and where. Undefined when it is one. */
export function shapeFault(value: unknown): string | undefined {
  const { error } = result.safeParse(value)
  const issue = error?.issues[0]
  if (issue === undefined) return undefined
  return issue.path.length === 0 ? issue.message : `${issue.path.join('.')}: ${issue.message}`
}
