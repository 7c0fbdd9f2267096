// To the disk every 3 messages against every 100: of Kafka the topic's flush.messages, of Skein the samples
// of a frame.
import type { Load } from '../../load.ts'
import {
  busCell,
  flatAndPaced,
  type BusSystem,
  type Experiment,
  type Setting,
} from './experiment.ts'
import {
  againstInEach,
  barsOf,
  findingOf,
  skeinAgainstKafka,
  tableOf,
  TOLD,
  type Variants,
} from './telling.ts'

const EVERY = [3, 100]

const nameOf = (every: number): string => `every ${every}`

const variants: Variants = {
  names: EVERY.map(nameOf),
  of: ({ setting, load }) => nameOf(setting.extra?.['flushMessages'] ?? load.samplesPerFrame),
}

const HOW: Readonly<Record<BusSystem, (every: number) => [Partial<Setting>, Partial<Load>]>> = {
  skein: (every) => [{}, { samplesPerFrame: every }],
  kafka: (every) => [{ extra: { flushMessages: every } }, {}],
}

export const flushing: Experiment = {
  name: 'flushing',

  groups(bench) {
    const { systems, setting, load } = bench
    const cells = systems.flatMap((system) =>
      EVERY.map((every) => {
        const [settings, loads] = HOW[system](every)
        const own = { ...setting, ...settings, system, tier: 'synced' as const }
        return busCell(flushing, nameOf(every), own, { ...load, ...loads })
      }),
    )
    return flatAndPaced(cells, bench)
  },

  section: (runs, floorOf) => ({
    title: 'To the disk every 3 messages against every 100',
    finding: findingOf([
      againstInEach(
        runs,
        variants,
        [nameOf(100), nameOf(3)],
        [TOLD.throughput, TOLD.cpu, TOLD.receiptP50],
        floorOf,
      ),
      skeinAgainstKafka(runs, variants, nameOf(3), [TOLD.throughput], floorOf),
      skeinAgainstKafka(runs, variants, nameOf(100), [TOLD.throughput], floorOf),
      'Not the same promise: Skein gives a receipt once the whole frame is synced, Kafka may have given ' +
        'it for up to 2 or 99 messages that are not. A frame is published, and due, as a whole.',
    ]),
    tables: [
      tableOf(runs, variants, [
        TOLD.throughput,
        TOLD.fsyncs,
        TOLD.cpu,
        TOLD.receiptP50,
        TOLD.receiptP99,
      ]),
    ],
    plots: [
      barsOf(runs, variants, TOLD.throughput, 'messages'),
      barsOf(runs, variants, TOLD.receiptP50, 'messages'),
    ],
  }),
}
