// The experiments of those who built smart buses on Kafka, run again on Skein and on Kafka, and the one they
// wished for.
import type { Options } from '../options.ts'
import type { Report, Section } from '../report/report.ts'
import type { Run } from '../result.ts'
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
import { baseLoad, CONTROL } from './cells.ts'
import { floorOf } from './figures.ts'
import { BLOCKS_MIN } from '../stats/ratio.ts'
import type { Context, Scenario } from './scenario.ts'
import { counted, voidSentence } from './sentences.ts'

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
  warmupSeconds: 0.5,
  seconds: 1.5,
  rates: [5_000, 50_000],
  processes: [1, 2, 4],
} as const
const FULL = {
  blocks: 3,
  warmupSeconds: 2,
  seconds: 5,
  rates: [2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000],
  processes: [1, 2, 4, 8],
} as const
/** Samples/s at which latencies are looked at. */
const RATE = 1_000
const QUESTION =
  'What did the experiments of the smart buses find out about Kafka, and what do they about Skein?'

/** Until systems/ starts brokers that join each other. */
const ONE_BROKER =
  'Kafka runs as one broker here: replication 2 and 3, and 5 brokers, were measured on Skein only'

export const busExperiments: Scenario = {
  name: 'bus-experiments',
  question: QUESTION,

  async measure(context) {
    const { options, runner } = context
    const bench = benchOf(context)
    if (bench.systems.includes('kafka')) runner.notes.push(ONE_BROKER)
    const all = EXPERIMENTS.map((experiment) => experiment.groups(bench))
    for (const [index, groups] of all.entries()) {
      await runner.blocks(groups, options.blocks ?? planOf(options).blocks, (cell) =>
        isBeyond(cell, runner.runs),
      )
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

function noiseSentence(runs: readonly Run[]): string {
  const blocks = new Set(runs.map(({ block }) => block)).size
  if (blocks >= BLOCKS_MIN) return ''
  return ` ${counted(blocks, 'block')}: too few to tell a difference from noise.`
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
  return {
    systems: BUS_SYSTEMS.filter((system) => systems.includes(system)),
    setting: {
      tier: options.tiers?.[0] ?? 'synced',
      tuning: options.tunings?.[0] ?? 'default',
      compress,
      copies: 1,
    },
    load: {
      ...load,
      readings: 'bus',
      warmupSeconds: Math.min(load.warmupSeconds, load.seconds / 2),
    },
    isFlatOut: rates === undefined,
    rate: rates?.[0] ?? RATE,
    rates: rates ?? plan.rates,
    processes: plan.processes,
  }
}
