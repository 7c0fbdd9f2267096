// JSON against Protobuf, with Skein's own frames beside them.
import type { Load } from '../../load.ts'
import { CONTROL } from '../cells.ts'
import { busCell, flatAndPaced, type BusSystem, type Experiment } from './experiment.ts'
import {
  againstInEach,
  barsOf,
  findingOf,
  skeinAgainstKafka,
  tableOf,
  TOLD,
  type Variant,
} from './telling.ts'

const ENCODINGS: Readonly<Record<string, Partial<Load>>> = {
  JSON: { form: 'json' },
  Protobuf: { form: 'protobuf' },
}
const COLUMNAR: Readonly<Record<BusSystem, Readonly<Record<string, Partial<Load>>>>> = {
  skein: {
    columnar: { form: 'native' },
    'columnar, frames of 100': { form: 'frame', samplesPerFrame: 100 },
  },
  kafka: { 'columnar, frames of 100': { form: 'frame', samplesPerFrame: 100 } },
}

/** The cell that the control measures again. */
export const CONTROLLED = 'encoding: skein, JSON'

const variant: Variant = ({ load: { form, samplesPerFrame } }) => {
  if (form === 'frame') return `columnar, frames of ${samplesPerFrame}`
  return form === 'native' ? 'columnar' : form === 'json' ? 'JSON' : 'Protobuf'
}

export const encoding: Experiment = {
  name: 'encoding',

  groups(bench) {
    const { systems, setting, load } = bench
    const cells = systems.flatMap((system) =>
      Object.entries({ ...ENCODINGS, ...COLUMNAR[system] }).map(([name, form]) =>
        busCell(encoding, name, { ...setting, system }, { ...load, ...form }),
      ),
    )
    return flatAndPaced([...cells, { ...cells[0]!, name: CONTROL }], bench)
  },

  section: (runs, floorOf) => ({
    title: 'JSON against Protobuf',
    finding: findingOf([
      againstInEach(
        runs,
        variant,
        ['Protobuf', 'JSON'],
        [TOLD.throughput, TOLD.bytes, TOLD.cpu, TOLD.liveP50],
        floorOf,
      ),
      skeinAgainstKafka(
        runs,
        variant,
        'Protobuf',
        [TOLD.throughput, TOLD.cpu, TOLD.liveP50],
        floorOf,
      ),
      'One sample is published at a time, except in frames of 100.',
    ]),
    tables: [
      tableOf(runs, variant, [TOLD.throughput, TOLD.bytes, TOLD.cpu, TOLD.liveP50, TOLD.liveP99]),
    ],
    plots: [
      barsOf(runs, variant, TOLD.throughput, 'encoding'),
      barsOf(runs, variant, TOLD.bytes, 'encoding'),
    ],
  }),
}
