// 1 against 5 brokers or storage peers, with one copy of everything.
import { busCell, flatAndPaced, type Experiment } from './experiment.ts'
import { counted } from '../sentences.ts'
import {
  againstInEach,
  barsOf,
  findingOf,
  skeinAgainstKafka,
  tableOf,
  TOLD,
  type Variants,
} from './telling.ts'

const SERVERS = [1, 5]

const nameOf = (servers: number): string => counted(servers, 'server')

const variants: Variants = {
  names: SERVERS.map(nameOf),
  of: ({ setting }) => nameOf(setting.stores ?? setting.copies),
}

export const servers: Experiment = {
  name: 'servers',

  groups(bench) {
    const { systems, setting, load } = bench
    const cells = systems.flatMap((system) =>
      SERVERS.map((stores) =>
        busCell(
          servers,
          nameOf(stores),
          { ...setting, system, ...(stores > 1 && { stores }) },
          load,
        ),
      ),
    )
    return flatAndPaced(cells, bench)
  },

  section: (runs, floorOf) => ({
    title: '1 against 5 brokers or storage peers',
    finding: findingOf([
      againstInEach(
        runs,
        variants,
        [nameOf(5), nameOf(1)],
        [TOLD.throughput, TOLD.cpu, TOLD.receiptP50],
        floorOf,
      ),
      ...SERVERS.map((count) =>
        skeinAgainstKafka(runs, variants, nameOf(count), [TOLD.throughput], floorOf),
      ),
      'They share one machine and one disk: more of them bring no more of either.',
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
      barsOf(runs, variants, TOLD.throughput, 'servers'),
      barsOf(runs, variants, TOLD.cpu, 'servers'),
    ],
  }),
}
