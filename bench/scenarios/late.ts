// Somebody comes late: a subscriber that was never there reads all that was published and stored, while
// live traffic goes on, and nothing may be missing or come twice where history and live meet.
import type { Load } from '../load.ts'
import type { Incident } from '../run/incident.ts'
import type { Cell } from '../run/run.ts'
import { BENCH_SYSTEMS } from '../systems/index.ts'
import { baseLoad, cellOf, settingsOf } from './cells.ts'
import { lateFigures } from './late-figures.ts'
import { lateReport } from './late-report.ts'
import type { Context, Scenario } from './scenario.ts'

/** `--seconds` says how long the history is. Live goes on for `seconds` more. */
const QUICK = { blocks: 3, historySeconds: 10, seconds: 5 } as const
const FULL = { blocks: 5, historySeconds: 60, seconds: 15 } as const
/** What JetStream stores of samples one by one, each synced, with some air. */
const RATE = 2_000
/** Whoever reads as fast as it can takes CPU from the load; its times are not told to the millisecond. */
const LAG_P99_US_MAX = 50_000
const QUESTION =
  'A subscriber that was never there reads all that was stored, while live traffic goes on: how soon ' +
  'does it have it?'

export const late: Scenario = {
  name: 'late',
  question: QUESTION,

  async measure({ options, runner, systems }: Context) {
    const plan = options.quick ? QUICK : FULL
    const settings = settingsOf({
      systems: systems.filter((name) => BENCH_SYSTEMS[name].persists),
      tier: options.tiers?.[0] ?? 'synced',
      tunings: options.tunings ?? ['latency'],
      compress: options.compress,
    })
    const load: Load = {
      ...baseLoad(options, { warmupSeconds: 0, seconds: 0 }),
      // The history is what is published before the window opens.
      warmupSeconds: options.seconds ?? plan.historySeconds,
      seconds: plan.seconds,
      rate: options.rates?.[0] ?? RATE,
      samplesPerFrame: options.samplesPerFrame?.[0] ?? 1,
    }
    const group = settings.map((setting): Cell => ({
      ...cellOf(setting, load),
      incident: () => JOINING,
      lagP99UsMax: LAG_P99_US_MAX,
    }))
    await runner.blocks([group], options.blocks ?? plan.blocks)
  },

  report: ({ runner }: Context) => lateReport(QUESTION, runner.runs),
}

const JOINING: Incident = {
  begin: (window) => window.join(),
  figures: lateFigures,
}
