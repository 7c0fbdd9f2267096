// A database against a CSV file: a consumer that persists what it gets, on Kafka and on Skein's live
// subscription, beside Skein's own store, which needs no consumer.
import { SINK_KINDS } from '../../load.ts'
import type { Section } from '../../report/report.ts'
import type { Run } from '../../result.ts'
import { FIGURES, median } from '../../stats/figures.ts'
import { sustained } from '../steps.ts'
import { busCell, type Experiment } from './experiment.ts'
import { curvesOf, sustainedWords } from './steps.ts'
import {
  againstInEach,
  findingOf,
  bySystem,
  byVariant,
  isFlat,
  type Told,
  type Variants,
} from './telling.ts'

const NAMES = { sqlite: 'into a database', csv: 'into a CSV file' } as const
const OWN_STORE = 'its own store'

const variants: Variants = {
  names: [...Object.values(NAMES), OWN_STORE],
  of: ({ load: { sink } }) => (sink === undefined ? OWN_STORE : NAMES[sink]),
}

/** Where there is a consumer, live is when it has persisted a sample. */
const PERSISTED: Told = {
  name: 'persisted, p50',
  unit: 'ms',
  figure: ({ live, receipt }) => {
    const us = (live ?? receipt)?.p50
    return us === undefined ? undefined : us / 1000
  },
}
const CPU: Told = {
  name: 'CPU',
  unit: 's / million',
  figure: (run) => (isFlat(run) ? undefined : FIGURES.cpuPerMillion(run)),
}

export const persisting: Experiment = {
  name: 'persisting',

  groups({ systems, setting, load, rates }) {
    return rates.map((rate) =>
      systems.flatMap((system) => {
        const own = { ...setting, system }
        const consumers = SINK_KINDS.map((sink) =>
          busCell(persisting, NAMES[sink], own, { ...load, rate, subscribers: 1, sink }),
        )
        const store = busCell(persisting, OWN_STORE, own, { ...load, rate })
        return system === 'skein' ? [...consumers, store] : consumers
      }),
    )
  },

  section(runs, floorOf): Section {
    const lowest = Math.min(...runs.map(({ load }) => load.rate!))
    const atLowest = (of: readonly Run[]): Run[] => of.filter(({ load }) => load.rate === lowest)
    const places = [...bySystem(runs)].flatMap(([system, own]) =>
      [...byVariant(own, variants)].map(([where, of]) => ({ system, where, runs: of })),
    )
    const said = places.map(
      ({ system, where, runs: of }) => `${system}, ${where}: ${sustainedWords(of)}`,
    )
    const at = `at ${lowest.toLocaleString('en')}/s`
    return {
      title: 'Database against CSV file',
      finding: findingOf([
        `${said.join('; ')}.`,
        againstInEach(
          atLowest(runs),
          variants,
          [NAMES.sqlite, NAMES.csv],
          [CPU, PERSISTED],
          floorOf,
        ),
        'The consumer persists what came since the last batch, with one sync, database and file alike. ' +
          'A live subscriber of Skein that is too slow misses samples; a consumer of Kafka falls behind.',
      ]),
      tables: [
        {
          columns: [
            { name: 'system' },
            { name: '' },
            { name: 'most sustained', unit: 'samples/s' },
            { name: `${PERSISTED.name}, ${at}`, unit: PERSISTED.unit },
            { name: `${CPU.name}, ${at}`, unit: CPU.unit },
          ],
          rows: places.map(({ system, where, runs: of }) => [
            system,
            where,
            sustained(of).rate,
            median(atLowest(of), PERSISTED.figure),
            median(atLowest(of), CPU.figure),
          ]),
        },
      ],
      plots: [
        curvesOf(
          'Until a sample is persisted',
          places.map(({ system, where, runs: of }) => ({ name: `${system}, ${where}`, runs: of })),
          { label: PERSISTED.name, unit: PERSISTED.unit, figure: PERSISTED.figure },
        ),
      ],
    }
  },
}
