// The experiments of those who built smart buses on Kafka, run again on Skein and on Kafka, and the one they
// wished for.
import type { Options } from '../options.ts'
import type { Report, Section } from '../report/report.ts'
import type { Run } from '../result.ts'
import type { Cell } from '../run/run.ts'
import { BENCH_SYSTEMS } from '../systems/index.ts'
import { BUS_SYSTEMS, runsOf, type Bench, type Experiment } from './bus/experiment.ts'
import { CONTROLLED, encoding } from './bus/encoding.ts'
import { flushing } from './bus/flushing.ts'
import { partitions } from './bus/partitions.ts'
import { persisting } from './bus/persisting.ts'
import { replication } from './bus/replication.ts'
import { scaling } from './bus/scaling.ts'
import { servers } from './bus/servers.ts'
import { isBeyond } from './bus/steps.ts'
import type { FloorOf } from './bus/telling.ts'
import { theirs } from './bus/theirs.ts'
import { CONTROL } from '../stats/by-cell.ts'
import { baseLoad, cellOf } from './cells.ts'
import { floorOf } from '../stats/figures.ts'
import type { Context, Scenario } from './scenario.ts'
import { noiseSentence, voidSentence } from './sentences.ts'

const EXPERIMENTS: readonly Experiment[] = [
  encoding,
  flushing,
  persisting,
  partitions,
  replication,
  servers,
  scaling,
]

const QUICK = {
  blocks: 1,
  warmupSeconds: 1,
  seconds: 1.5,
  rates: [5_000, 50_000],
  processes: [1, 4],
} as const
const FULL = {
  blocks: 3,
  warmupSeconds: 2,
  seconds: 5,
  rates: [2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000],
  processes: [1, 2, 4, 8],
} as const
/** Until a new JVM has compiled what it needs most. */
const REHEARSAL_S = 5
/** Samples/s at which latencies are looked at. */
const RATE = 1_000
const QUESTION =
  'What did the experiments of the smart buses find out about Kafka, and what do they about Skein?'

export const busExperiments: Scenario = {
  name: 'bus-experiments',
  question: QUESTION,

  async measure(context) {
    const { runner } = context
    const bench = benchOf(context)
    runner.notes.push(...notesOf(context, bench))
    const all = EXPERIMENTS.map((experiment) => experiment.groups(bench))
    if (bench.isFlatOut) for (const cell of rehearsals(bench)) await runner.rehearse(cell)
    for (const [index, groups] of all.entries()) {
      await runner.blocks(groups, bench.blocks, (cell) => isBeyond(cell, runner.runs))
      await runner.keepOnly(all.slice(index + 1).flat(2))
    }
  },

  report: ({ runner }: Context): Report => ({
    title: 'The experiments of the smart buses',
    question: QUESTION,
    sections: [
      ...EXPERIMENTS.flatMap((experiment) => {
        const runs = runsOf(experiment, runner.runs)
        if (runs.length === 0) return []
        const section = experiment.section(runs, floorsOf(runner.runs))
        const finding = `${section.finding}${voidSentence(runs)}${noiseSentence(runs)}`
        return [filled({ ...section, finding })]
      }),
      theirs,
    ],
  }),
}

function notesOf({ systems }: Context, bench: Bench): string[] {
  const without = systems.filter((system) => !(bench.systems as readonly string[]).includes(system))
  return without.map(
    (system) =>
      `without ${system}: the experiments are of Skein and Kafka, receipts ${bench.setting.tier}`,
  )
}

/** What the first experiment measures first would otherwise pay for the start of the servers. */
function rehearsals({ systems, setting, load }: Bench): Cell[] {
  return systems.map((system) => cellOf({ ...setting, system }, { ...load, seconds: REHEARSAL_S }))
}

/** Without the tables and plots that nothing was measured for. */
function filled({ title, finding, tables = [], plots = [] }: Section): Section {
  return {
    title,
    finding,
    tables: tables.filter(({ rows }) => rows.length > 0),
    plots: plots.filter(({ series }) => series.some(({ points }) => points.length > 0)),
  }
}

/** From the one cell that is measured twice in each block. */
function floorsOf(runs: readonly Run[]): FloorOf {
  return ({ figure }) => {
    const having = runs.filter((run) => figure(run) !== undefined)
    const named = (name: string): Run[] => having.filter(({ cell }) => cell === name)
    return floorOf(named(CONTROLLED), named(CONTROL), figure)
  }
}

const planOf = ({ quick }: Options) => (quick ? QUICK : FULL)

function benchOf({ options, systems }: Context): Bench {
  const plan = planOf(options)
  const { compress, rates } = options
  const load = baseLoad(options, plan)
  const tier = options.tiers?.[0] ?? 'synced'
  return {
    blocks: options.blocks ?? plan.blocks,
    systems: BUS_SYSTEMS.filter(
      (system) => systems.includes(system) && BENCH_SYSTEMS[system].tiers.includes(tier),
    ),
    setting: {
      tier,
      tuning: options.tunings?.[0] ?? 'default',
      compress,
      copies: 1,
    },
    load: {
      ...load,
      readings: 'bus',
      warmupSeconds: Math.min(load.warmupSeconds, load.seconds / 3),
    },
    isFlatOut: rates === undefined,
    rate: rates?.[0] ?? RATE,
    rates: rates ?? plan.rates,
    processes: plan.processes,
  }
}
