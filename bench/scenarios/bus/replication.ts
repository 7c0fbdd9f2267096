// Replication 1, 2 and 3: a receipt vouches for that many copies, each on a server of its own.
import { busCell, flatAndPaced, type Experiment } from './experiment.ts'
import {
  againstInEach,
  barsOf,
  findingOf,
  skeinAgainstKafka,
  tableOf,
  TOLD,
  type Variants,
} from './telling.ts'

const COPIES = [1, 2, 3]

const nameOf = (copies: number): string => `${copies} ${copies === 1 ? 'copy' : 'copies'}`

const variants: Variants = {
  names: COPIES.map(nameOf),
  of: ({ setting }) => nameOf(setting.copies),
}

export const replication: Experiment = {
  name: 'replication',

  groups(bench) {
    const { systems, setting, load } = bench
    const cells = systems.flatMap((system) =>
      COPIES.map((copies) =>
        busCell(replication, nameOf(copies), { ...setting, system, copies }, load),
      ),
    )
    return flatAndPaced(cells, bench)
  },

  section: (runs, floorOf) => ({
    title: 'Replication 1, 2, 3',
    finding: findingOf([
      ...COPIES.slice(1).map((copies) =>
        againstInEach(
          runs,
          variants,
          [nameOf(copies), nameOf(1)],
          [TOLD.throughput, TOLD.cpu, TOLD.receiptP50],
          floorOf,
        ),
      ),
      ...COPIES.map((copies) =>
        skeinAgainstKafka(
          runs,
          variants,
          nameOf(copies),
          [TOLD.throughput, TOLD.receiptP50],
          floorOf,
        ),
      ),
      'All copies share one machine and one disk: this is what copies cost, not what they bring.',
    ]),
    tables: [
      tableOf(runs, variants, [
        TOLD.throughput,
        TOLD.cpu,
        TOLD.receiptP50,
        TOLD.receiptP99,
        TOLD.liveP50,
      ]),
    ],
    plots: [
      barsOf(runs, variants, TOLD.throughput, 'copies'),
      barsOf(runs, variants, TOLD.receiptP50, 'copies'),
    ],
  }),
}
