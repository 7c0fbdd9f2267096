// A storage peer held against its goals: how fast it syncs beside brokers and the bare disk, how fast it
// answers, repairs and restarts, and what a row takes of its disk.
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Report } from '../report/report.ts'
import { packageVersion } from '../systems/package-version.ts'
import { BENCH_SYSTEMS } from '../systems/index.ts'
import type { Context, Scenario } from './scenario.ts'
import { ingest } from './store-ingest.ts'
import { latest } from './store-latest.ts'
import type { StorePart } from './store-part.ts'
import { repair } from './store-repair.ts'
import { storeReport } from './store-report.ts'
import { restart } from './store-restart.ts'
import { trucks } from './store-trucks.ts'

const PARTS: readonly StorePart[] = [ingest, latest, repair, trucks, restart]
const QUICK_BLOCKS = 2
const FULL_BLOCKS = 5
const QUESTION =
  'How fast does a storage peer sync, answer, repair and restart, and what does a row take of its disk?'

export const store: Scenario = {
  name: 'store',
  question: QUESTION,

  async measure({ options, runner, systems }: Context) {
    // On a disk like the users': a tmpfs would flatter all of them.
    const directory = await mkdtemp(join(process.cwd(), '.skein-bench-'))
    Object.assign(runner.versions, {
      'zeromq.js': packageVersion('zeromq'),
      'classic-level': packageVersion('classic-level'),
    })
    const bench = {
      options,
      runner,
      directory,
      blocks: options.blocks ?? (options.quick ? QUICK_BLOCKS : FULL_BLOCKS),
      systems: systems.filter((name) => BENCH_SYSTEMS[name].tiers.includes('synced')),
    }
    const { parts } = options
    try {
      for (const part of PARTS) {
        if (parts === undefined || parts.includes(part.name)) await part.measure(bench)
      }
    } finally {
      await rm(directory, { recursive: true })
    }
  },

  report: ({ runner }: Context): Report => storeReport(QUESTION, PARTS, runner.runs),
}
