// JSON against Protobuf, with Skein's own frames beside them.
import type { Form } from '../../load.ts'
import type { Cell } from '../../run/run.ts'
import { CONTROL } from '../../stats/by-cell.ts'
import { busCell, flatAndPaced, type BusSystem, type Experiment } from './experiment.ts'
import {
  againstInEach,
  barsOf,
  findingOf,
  skeinAgainstKafka,
  tableOf,
  TOLD,
  type Variants,
} from './telling.ts'

const SAMPLES = 100
const NAMES: Readonly<Record<Form, string>> = {
  json: 'JSON',
  protobuf: 'Protobuf',
  native: 'columnar',
  frame: `columnar, frames of ${SAMPLES}`,
}
/** A sample a message, or gathered by Skein; what is native to Kafka's users is JSON. */
const FORMS: Readonly<Record<BusSystem, readonly Form[]>> = {
  skein: ['json', 'protobuf', 'native'],
  kafka: ['json', 'protobuf'],
}

/** The cell that the control measures again. */
export const CONTROLLED = `encoding: skein, ${NAMES.json}`

const variants: Variants = {
  names: Object.values(NAMES),
  of: ({ load }) => NAMES[load.form],
}

export const encoding: Experiment = {
  name: 'encoding',

  groups(bench) {
    const { systems, setting, load } = bench
    const cell = (system: BusSystem, form: Form, samplesPerFrame: number): Cell =>
      busCell(encoding, NAMES[form], { ...setting, system }, { ...load, form, samplesPerFrame })
    const single = systems.flatMap((system) => FORMS[system].map((form) => cell(system, form, 1)))
    const frames = systems.map((system) => cell(system, 'frame', SAMPLES))
    const control = bench.blocks > 1 ? [{ ...single[0]!, name: CONTROL }] : []
    return flatAndPaced([...single, ...control], bench, frames)
  },

  section: (runs, floorOf) => ({
    title: 'JSON against Protobuf',
    finding: findingOf([
      againstInEach(
        runs,
        variants,
        ['Protobuf', 'JSON'],
        [TOLD.throughput, TOLD.bytes, TOLD.cpu, TOLD.liveP50],
        floorOf,
      ),
      skeinAgainstKafka(
        runs,
        variants,
        'Protobuf',
        [TOLD.throughput, TOLD.cpu, TOLD.liveP50],
        floorOf,
      ),
      'One sample is published at a time, except in frames of 100.',
    ]),
    tables: [
      tableOf(runs, variants, [TOLD.throughput, TOLD.bytes, TOLD.cpu, TOLD.liveP50, TOLD.liveP99]),
    ],
    plots: [
      barsOf(runs, variants, TOLD.throughput, 'encoding'),
      barsOf(runs, variants, TOLD.bytes, 'encoding'),
    ],
  }),
}
