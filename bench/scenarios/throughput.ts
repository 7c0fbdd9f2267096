// The most that each system takes and vouches for: as fast as receipts come, with the same bound on what
// is under way for all, at each durability tier.
import type { Load } from '../load.ts'
import type { Options } from '../options.ts'
import type { Group } from '../run/runner.ts'
import { BENCH_SYSTEMS } from '../systems/index.ts'
import type { BenchSystemName, Tier } from '../systems/system.ts'
import { baseLoad, settingsOf, withControl } from './cells.ts'
import { measureNatives } from './natives.ts'
import { PAYLOADS } from './payloads.ts'
import type { Context, Scenario } from './scenario.ts'
import { throughputReport } from './throughput-report.ts'

const SOURCES = 1_000
const QUICK = {
  payloads: ['a sample a message', 'frames of 100', 'frames of 5 KB'],
  tiers: ['synced'],
  tunings: ['throughput'],
  blocks: 2,
  warmupSeconds: 1,
  seconds: 3,
} as const
const FULL = {
  payloads: Object.keys(PAYLOADS),
  tiers: ['synced', 'written', 'received'],
  tunings: ['throughput', 'default'],
  blocks: 3,
  warmupSeconds: 2,
  seconds: 5,
} as const
const QUESTION =
  'How many samples a second can be published and vouched for, at each durability tier?'

export const throughput: Scenario = {
  name: 'throughput',
  question: QUESTION,

  async measure(context) {
    const { options, runner } = context
    const { blocks, tiers } = options.quick ? QUICK : FULL
    // Without receipts there is no telling when something was taken.
    const systems = context.systems.filter((name) => BENCH_SYSTEMS[name].persists)
    const groups = (options.tiers ?? tiers).flatMap((tier) => groupsOf(options, systems, tier))
    await runner.blocks(groups, options.blocks ?? blocks)
    await measureNatives(context)
  },

  report: ({ runner }: Context) => throughputReport(QUESTION, runner.runs, runner.natives),
}

function groupsOf(options: Options, systems: readonly BenchSystemName[], tier: Tier): Group[] {
  const plan = options.quick ? QUICK : FULL
  const { samplesPerFrame, compress } = options
  const payloads =
    samplesPerFrame?.map((count): Partial<Load> => ({ form: 'frame', samplesPerFrame: count })) ??
    plan.payloads.map((name) => PAYLOADS[name]!)
  // Vendors' defaults are looked at once, where it counts most.
  const tunings = options.tunings ?? (tier === 'synced' ? plan.tunings : plan.tunings.slice(0, 1))
  return payloads.map((payload) => {
    const load = { ...baseLoad(options, plan), sources: SOURCES, ...payload }
    const settings = settingsOf({ systems, tier, tunings, compress, copies: [1, 2] })
    return withControl(settings, load, options.blocks ?? plan.blocks)
  })
}
