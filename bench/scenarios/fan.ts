// One to one, many to one, one to many, many to many: each subscriber gets everything, so that what is
// published once is delivered up to eight times. At one rate that all take, then at rates in steps.
import type { Load } from '../load.ts'
import type { Cell } from '../run/run.ts'
import { baseLoad, cellOf, patient, settingsOf, withControl } from './cells.ts'
import { fanReport } from './fan-report.ts'
import type { Context, Scenario } from './scenario.ts'
import { isSaturated } from './steps.ts'

const SHAPES = [
  [1, 1],
  [8, 1],
  [1, 8],
  [8, 8],
] as const
/** A multiple of the publishers: each source has one. */
const SOURCES = 96
/** In all shapes together, samples/s. The first is what the shapes are compared at. */
const QUICK = { rates: [500, 2_000, 8_000], blocks: 1, warmupSeconds: 1, seconds: 2 } as const
const FULL = {
  rates: [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000],
  blocks: 3,
  warmupSeconds: 2,
  seconds: 5,
} as const
const QUESTION =
  'Publishers and subscribers, 1 and 8 of each: how fast, whose CPU, and how much can be sustained?'

export const fan: Scenario = {
  name: 'fan',
  question: QUESTION,

  async measure({ options, runner, systems }: Context) {
    const plan = options.quick ? QUICK : FULL
    const settings = settingsOf({
      systems,
      tier: options.tiers?.[0] ?? 'synced',
      tunings: options.tunings ?? ['latency'],
      compress: options.compress,
    })
    const { blocks = plan.blocks } = options
    const [rate, ...steps] = options.rates ?? plan.rates
    const loads = SHAPES.map(([publishers, subscribers]): Load => ({
      ...baseLoad(options, plan),
      sources: SOURCES,
      publishers,
      subscribers,
      samplesPerFrame: options.samplesPerFrame?.[0] ?? 1,
    }))
    const groups = [
      ...loads.map((load) => withControl(settings, { ...load, rate: rate! }, blocks)),
      ...steps.flatMap((step) =>
        loads.map((load) => settings.map((setting) => cellOf(setting, { ...load, rate: step }))),
      ),
    ].map(patient)
    const isTooMuch = ({ name, load }: Cell): boolean =>
      isSaturated(
        runner.runs.filter(
          (run) =>
            run.cell === name &&
            run.load.publishers === load.publishers &&
            run.load.subscribers === load.subscribers &&
            run.load.rate! < load.rate!,
        ),
      )
    await runner.blocks(groups, blocks, isTooMuch)
  },

  report: ({ runner }: Context) => fanReport(QUESTION, runner.runs),
}
