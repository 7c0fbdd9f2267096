// What a million samples cost: CPU, memory, bytes written, fsyncs, bytes on the wire, of all processes of
// a system together, at a rate that each of them takes with ease.
import type { Load } from '../load.ts'
import { baseLoad, patient, settingsOf, withControl } from './cells.ts'
import { costReport } from './cost-report.ts'
import type { Context, Scenario } from './scenario.ts'

/**
 * A sample a message; 100 published together, as a frame of Skein and as 100 messages that a broker's
 * client makes a batch of; and the same frames for all: samples/s that leave all systems some air.
 */
const LOADS: readonly (Partial<Load> & { readonly rate: number })[] = [
  { form: 'native', samplesPerFrame: 1, rate: 2_000 },
  { form: 'native', samplesPerFrame: 100, rate: 50_000 },
  { form: 'frame', samplesPerFrame: 100, rate: 100_000 },
]
const SOURCES = 100
const QUICK = { blocks: 2, warmupSeconds: 1, seconds: 3 } as const
const FULL = { blocks: 5, warmupSeconds: 2, seconds: 8 } as const
const QUESTION = 'What do a million samples cost in CPU, memory, disk and network?'

export const cost: Scenario = {
  name: 'cost',
  question: QUESTION,

  async measure({ options, runner, systems }: Context) {
    const plan = options.quick ? QUICK : FULL
    const { tiers = ['synced'], tunings = ['throughput'], rates, samplesPerFrame } = options
    const { blocks = plan.blocks } = options
    const loads = LOADS.map((load, i): Load => ({
      ...baseLoad(options, plan),
      sources: SOURCES,
      subscribers: 1,
      ...load,
      ...(rates && { rate: rates[Math.min(i, rates.length - 1)]! }),
    })).filter((load) => samplesPerFrame?.includes(load.samplesPerFrame) ?? true)
    // Off everywhere, then on everywhere.
    const groups = tiers.flatMap((tier) =>
      [false, true].flatMap((compress) =>
        loads.map((load) =>
          withControl(
            settingsOf({ systems, tier, tunings, compress, copies: [1, 2] }),
            load,
            blocks,
          ),
        ),
      ),
    )
    await runner.blocks(groups.map(patient), blocks)
  },

  report: ({ runner }: Context) => costReport(QUESTION, runner.runs),
}
