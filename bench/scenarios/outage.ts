// All servers of a system are killed under load and come back some seconds later; the load goes on. How
// soon does what was published get its receipt again, what did live subscribers see, what was lost?
import { setTimeout as delay } from 'node:timers/promises'
import { nowUs } from '../measure/clock.ts'
import type { Load } from '../load.ts'
import type { Run } from '../result.ts'
import type { Incident, Observed, OpenWindow } from '../run/incident.ts'
import type { Cell } from '../run/run.ts'
import { BENCH_SYSTEMS } from '../systems/index.ts'
import { baseLoad, cellOf, settingsOf } from './cells.ts'
import { outageFigures, type Outage as Times } from './outage-figures.ts'
import { outageReport } from './outage-report.ts'
import type { Context, Scenario } from './scenario.ts'

/** `--seconds` says how long the servers are away. */
const QUICK = { copies: [1], blocks: 3, warmupSeconds: 1, awaySeconds: 3 } as const
const FULL = { copies: [1, 2], blocks: 5, warmupSeconds: 3, awaySeconds: 10 } as const
const BEFORE_SECONDS = 2
/** The load goes on when the servers are started again. */
const AFTER_SECONDS = 6
const RATE = 1_000
/** Clients that send again what waited are busy for a moment, and so is the load in their process. */
const LAG_P99_US_MAX = 50_000
const QUESTION =
  'All servers are killed under load and come back: when do receipts go on, what do live subscribers ' +
  'see meanwhile, and what is lost?'

export const outage: Scenario = {
  name: 'outage',
  question: QUESTION,

  async measure({ options, runner, systems }: Context) {
    const plan = options.quick ? QUICK : FULL
    const awaySeconds = options.seconds ?? plan.awaySeconds
    const settings = settingsOf({
      systems: systems.filter((name) => BENCH_SYSTEMS[name].persists),
      tier: options.tiers?.[0] ?? 'synced',
      tunings: options.tunings ?? ['latency'],
      compress: options.compress,
      copies: plan.copies,
    })
    const load: Load = {
      ...baseLoad(options, { warmupSeconds: 0, seconds: 0 }),
      warmupSeconds: plan.warmupSeconds,
      seconds: BEFORE_SECONDS + awaySeconds + AFTER_SECONDS,
      subscribers: 1,
      rate: options.rates?.[0] ?? RATE,
      samplesPerFrame: options.samplesPerFrame?.[0] ?? 1,
    }
    const group = settings.map((setting): Cell => ({
      ...cellOf(setting, load),
      incident: () => new Outage(awaySeconds),
      lagP99UsMax: LAG_P99_US_MAX,
    }))
    await runner.blocks([group], options.blocks ?? plan.blocks)
  },

  report: ({ runner }: Context) => outageReport(QUESTION, runner.runs),
}

class Outage implements Incident {
  readonly readsBack = true
  readonly mayLose = true
  private readonly awaySeconds: number
  private times: Times | undefined

  constructor(awaySeconds: number) {
    this.awaySeconds = awaySeconds
  }

  async begin({ deployment, startUs }: OpenWindow): Promise<void> {
    await until(startUs + BEFORE_SECONDS * 1e6)
    const killedUs = nowUs()
    await deployment.kill()
    await until(killedUs + this.awaySeconds * 1e6)
    const startedUs = nowUs()
    await deployment.restart()
    this.times = { killedUs, startedUs, answeredUs: nowUs() }
  }

  figures(observed: Observed): Pick<Run, 'extra' | 'steps'> {
    return outageFigures(observed, this.times!)
  }
}

async function until(atUs: number): Promise<void> {
  await delay(Math.max(0, (atUs - nowUs()) / 1000))
}
