// Does the cost of a sample stay what it is? From 10 to 10,000 sources in one publisher, from 1 to 8
// publishing processes, from 1 to 5 storage peers.
import type { Load } from '../load.ts'
import type { Options } from '../options.ts'
import type { Cell } from '../run/run.ts'
import { baseLoad, cellOf, patient, settingName, settingsOf } from './cells.ts'
import { scaleReport } from './scale-report.ts'
import type { Context, Scenario } from './scenario.ts'

const RATE = 10_000
/** Over this many sources where something else is varied. */
const SOURCES_FIXED = 1_000
const QUICK = {
  sources: [10, 1_000, 10_000],
  publishers: [1, 4],
  stores: [1, 3],
  blocks: 2,
  warmupSeconds: 1,
  seconds: 3,
} as const
const FULL = {
  sources: [10, 100, 1_000, 10_000],
  publishers: [1, 2, 4, 8],
  stores: [1, 2, 3, 5],
  blocks: 5,
  warmupSeconds: 2,
  seconds: 8,
} as const
const QUESTION = 'Does the cost of a sample stay the same with more sources, publishers and stores?'

export const scale: Scenario = {
  name: 'scale',
  question: QUESTION,

  async measure(context: Context) {
    const { options, runner } = context
    const plan = options.quick ? QUICK : FULL
    // Step by step: the systems side by side at each.
    const groups = [
      ...plan.sources.map((sources) => steps(context, { sources })),
      ...plan.publishers.slice(1).map((publishers) => steps(context, { publishers })),
      ...plan.stores.slice(1).map((stores) => storeStep(context, stores)),
    ]
    await runner.blocks(groups.map(patient), options.blocks ?? plan.blocks)
  },

  report: ({ runner }: Context) => scaleReport(QUESTION, runner.runs),
}

function steps({ options, systems }: Context, more: Partial<Load>): Cell[] {
  return settings(options, systems).map((setting) => cellOf(setting, loadOf(options, more)))
}

/** Skein only: brokers are asked about in bus-experiments. One copy whatever their number, so that the work is the same. */
function storeStep({ options }: Context, stores: number): Cell[] {
  return settings(options, ['skein']).map((setting) =>
    cellOf({ ...setting, stores }, loadOf(options, {}), settingName(setting)),
  )
}

function settings(
  { tiers = ['synced'], tunings = ['default'], compress }: Options,
  systems: Context['systems'],
) {
  return settingsOf({ systems, tier: tiers[0]!, tunings, compress })
}

function loadOf(options: Options, more: Partial<Load>): Load {
  const load = baseLoad(options, options.quick ? QUICK : FULL)
  const rate = options.rates?.[0] ?? RATE
  return { ...load, sources: SOURCES_FIXED, rate, ...more }
}
