// 1 against 100 partitions, with one producer and with eight. Skein has 64 shards, always: what there is to
// choose is how many sources there are.
import type { Load } from '../../load.ts'
import { counted } from '../sentences.ts'
import {
  busCell,
  flatAndPaced,
  type BusSystem,
  type Experiment,
  type Setting,
} from './experiment.ts'
import { againstInEach, barsOf, findingOf, tableOf, TOLD, type Variants } from './telling.ts'

const COUNTS = [1, 100]
const PRODUCERS = [1, 8]

const nameOf = (count: number, producers: number): string =>
  `${counted(count, 'part')}, ${counted(producers, 'producer')}`

const variants: Variants = {
  names: PRODUCERS.flatMap((producers) => COUNTS.map((count) => nameOf(count, producers))),
  of({ setting, load }) {
    const { partitions = 1 } = setting.extra ?? {}
    return nameOf(setting.system === 'kafka' ? partitions : load.sources, load.publishers)
  },
}

const HOW: Readonly<Record<BusSystem, (count: number) => [Partial<Setting>, Partial<Load>]>> = {
  skein: (sources) => [{}, { sources }],
  kafka: (partitions) => [partitions > 1 ? { extra: { partitions } } : {}, {}],
}

export const partitions: Experiment = {
  name: 'partitions',

  groups(bench) {
    const { systems, setting, load } = bench
    const cells = systems.flatMap((system) =>
      PRODUCERS.flatMap((publishers) =>
        COUNTS.map((count) => {
          const [settings, loads] = HOW[system](count)
          const own = { ...setting, ...settings, system }
          return busCell(partitions, nameOf(count, publishers), own, {
            ...load,
            ...loads,
            publishers,
          })
        }),
      ),
    )
    return flatAndPaced(cells, bench)
  },

  section: (runs, floorOf) => ({
    title: '1 against 100 partitions, with 1 and 8 producers',
    finding: findingOf([
      ...PRODUCERS.map((producers) =>
        againstInEach(
          runs,
          variants,
          [nameOf(100, producers), nameOf(1, producers)],
          [TOLD.throughput, TOLD.cpu, TOLD.liveP50],
          floorOf,
        ),
      ),
      'Of Kafka the parts are partitions, with 100 sources. Skein has 64 shards and no such choice: of ' +
        'it they are sources.',
    ]),
    tables: [
      tableOf(runs, variants, [
        TOLD.throughput,
        TOLD.cpu,
        TOLD.liveP50,
        TOLD.liveP99,
        TOLD.receiptP50,
      ]),
    ],
    plots: [
      barsOf(runs, variants, TOLD.throughput, 'parts'),
      barsOf(runs, variants, TOLD.liveP50, 'parts'),
    ],
  }),
}
