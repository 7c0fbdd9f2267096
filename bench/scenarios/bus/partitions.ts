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
import { againstInEach, barsOf, findingOf, tableOf, TOLD, type Variant } from './telling.ts'

const COUNTS = [1, 100]
const PRODUCERS = [1, 8]

const nameOf = (count: number, producers: number): string =>
  `${count}, ${counted(producers, 'producer')}`

const variant: Variant = ({ setting, load }) => {
  const { partitions = 1 } = setting.extra ?? {}
  return nameOf(setting.system === 'kafka' ? partitions : load.sources, load.publishers)
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
          variant,
          [nameOf(100, producers), nameOf(1, producers)],
          [TOLD.throughput, TOLD.cpu, TOLD.liveP50],
          floorOf,
        ),
      ),
      'Of Kafka these are partitions, with 100 sources. Skein has 64 shards and no such choice: of it ' +
        'they are sources.',
    ]),
    tables: [
      tableOf(runs, variant, [
        TOLD.throughput,
        TOLD.cpu,
        TOLD.liveP50,
        TOLD.liveP99,
        TOLD.receiptP50,
      ]),
    ],
    plots: [
      barsOf(runs, variant, TOLD.throughput, 'partitions or sources'),
      barsOf(runs, variant, TOLD.liveP50, 'partitions or sources'),
    ],
  }),
}
