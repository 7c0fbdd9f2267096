// From the time a sample is due to the moment a live subscriber in another process has it decoded, and to
// the moment the publisher knows that it is safe: at rates in steps, to beyond what each system can take.
import type { Load } from '../load.ts'
import type { Report } from '../report/report.ts'
import { baseLoad, settingsOf, withControl } from './cells.ts'
import { latencyReport } from './latency-report.ts'
import type { Context, Scenario } from './scenario.ts'
import { isSaturated } from './steps.ts'

const QUICK = {
  rates: [1_000, 5_000, 20_000],
  tunings: ['latency'],
  blocks: 3,
  warmupSeconds: 1,
  seconds: 3,
} as const
const FULL = {
  rates: [500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000],
  tunings: ['latency', 'default'],
  blocks: 5,
  warmupSeconds: 3,
  seconds: 8,
} as const
const QUESTION =
  'How long until a sample is seen by a live subscriber, and until it is known to be safe?'

export const latency: Scenario = {
  name: 'latency',
  question: QUESTION,

  async measure({ options, runner, systems }) {
    const plan = options.quick ? QUICK : FULL
    const settings = settingsOf({
      systems,
      tier: options.tiers?.[0] ?? 'synced',
      tunings: options.tunings ?? plan.tunings,
      compress: options.compress,
      copies: [1, 2],
    })
    const load: Load = {
      ...baseLoad(options, plan),
      subscribers: 1,
      samplesPerFrame: options.samplesPerFrame?.[0] ?? 1,
    }
    const rates = options.rates ?? plan.rates
    const { blocks = plan.blocks } = options
    const groups = rates.map((rate) => withControl(settings, { ...load, rate }, blocks))
    await runner.blocks(groups, blocks, ({ name, load: { rate } }) =>
      isSaturated(runner.runs.filter(({ cell, load: of }) => cell === name && of.rate! < rate!)),
    )
  },

  report: ({ runner }: Context): Report => latencyReport(QUESTION, runner.runs),
}
