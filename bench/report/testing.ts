// A result for tests, and to look at: three systems with plausible figures, one that could not keep up,
// a void run, and names that would break a page which did not escape them.
import { SeededRandom } from '../../mesh/index.ts'
import { distribution, percentiles } from '../measure/distribution.ts'
import type { Distribution, Result, Run } from '../result.ts'
import { FIGURES, median, together } from '../stats/figures.ts'
import type { BenchSystemName } from '../systems/system.ts'
import type { Plot, Point, Report, Table } from './report.ts'

const RATES = [1_000, 5_000, 20_000, 100_000, 400_000]
const BLOCKS = 3
const PERCENTILES = [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9]

interface ExampleSystem {
  readonly name: BenchSystemName
  /** µs. */
  readonly live: number
  readonly receipt: number | undefined
  /** Samples/s. */
  readonly most: number
  readonly cpuPerMillion: number
}

const SYSTEMS: readonly ExampleSystem[] = [
  { name: 'skein', live: 118, receipt: 405, most: 320_000, cpuPerMillion: 2.4 },
  { name: 'kafka', live: 1_005, receipt: 633, most: 180_000, cpuPerMillion: 9.1 },
  { name: 'nats', live: 219, receipt: 425, most: 4_200, cpuPerMillion: 61 },
  { name: 'nats-core', live: 124, receipt: undefined, most: 250_000, cpuPerMillion: 3.6 },
  { name: 'zeromq-raw', live: 98, receipt: undefined, most: 380_000, cpuPerMillion: 2.1 },
]

export function exampleResult(changes: Partial<Result> = {}): Result {
  return {
    version: 1,
    scenario: 'latency',
    command: 'npm run bench -- latency --against kafka,nats,nats-core,zeromq-raw --quick',
    startedAt: '2026-11-22T11:30:12.000Z',
    finishedAt: '2026-11-22T11:41:52.000Z',
    isComplete: true,
    notes: ['without zenoh: it is not installed; npm run systems -- install zenoh'],
    machine: {
      host: 'bench-1',
      cpus: 2,
      cpuModel: 'AMD EPYC 9B14',
      memoryBytes: 24 * 2 ** 30,
      kernel: '6.18.5',
      node: 'v24.21.0',
      filesystem: 'ext4',
      fdatasyncUs: 283,
      clockOffsetUs: 3,
    },
    versions: { kafka: '4.1.1', '@platformatic/kafka': '2.12.1', 'nats-server': '2.12.3' },
    configurations: {
      'kafka, synced': { 'log.flush.interval.messages': 1, 'compression.type': 'producer' },
      'nats, <b>synced</b>': { jetstream: { sync_interval: 'always' } },
    },
    seed: 5,
    runs: RUNS,
    natives: [],
    report: exampleReport(RUNS),
    ...changes,
  }
}

function exampleReport(runs: readonly Run[]): Report {
  return {
    title: 'Latency',
    question:
      'How long until a sample is seen by a live subscriber, and until it is known to be safe?',
    sections: [
      {
        title: 'Until a live subscriber has it',
        finding:
          'At 1,000 samples/s Skein delivers in 0.134 ms at the median, JetStream in 0.319 ms.',
        plots: [latencyPlot(runs, 'p50'), latencyPlot(runs, 'p99')],
      },
      { title: 'The tail', finding: 'Nothing is trimmed.', plots: [tailPlot(runs)] },
      {
        title: 'What it costs',
        finding: 'Servers, publisher and subscriber together.',
        plots: [costPlot(runs)],
        tables: [costTable(runs)],
      },
    ],
  }
}

function exampleRun(system: ExampleSystem, rate: number, block: number, random: SeededRandom): Run {
  const { name, most, live, receipt, cpuPerMillion } = system
  const isSustained = rate < most
  const perSecond = Math.min(rate, most) * (0.99 + 0.01 * random.next())
  const seconds = 8
  const load = rate / most
  // A queue grows towards saturation, and without end beyond it.
  const slower = isSustained ? 1 + load / (1.05 - load) : 1_000 * load
  const isVoid = name === 'kafka' && rate === 100_000 && block === 2
  const latencies = (base: number | undefined): Distribution | undefined =>
    base === undefined ? undefined : distribution(spread(base * slower, random))
  const [liveUs, receiptUs, lagUs] = [live, receipt, 40].map(latencies)
  const count = Math.round(perSecond * seconds)
  return {
    cell: name,
    block,
    setting: { system: name, tier: 'synced', tuning: 'latency', compress: false, copies: 1 },
    load: {
      form: 'native',
      samplesPerFrame: 1,
      sources: 100,
      publishers: 1,
      subscribers: 1,
      rate,
      schedule: 'poisson',
      warmupSeconds: 1,
      seconds,
      seed: 5,
    },
    voids: isVoid ? ['the generator was late: p99 <12> ms behind its plan'] : [],
    isSustained,
    counts: { published: count, receipts: count, delivered: count, duplicates: 0, lost: 0 },
    publishedPerSecond: perSecond,
    receiptsPerSecond: receipt === undefined ? 0 : perSecond,
    deliveredPerSecond: perSecond,
    ...(liveUs && { live: liveUs }),
    ...(receiptUs && { receipt: receiptUs }),
    ...(lagUs && { lag: lagUs }),
    cost: {
      seconds,
      cpuSeconds: { [name]: (cpuPerMillion * count * (0.95 + 0.1 * random.next())) / 1e6 },
      memoryBytes: { [name]: 180 * 2 ** 20 },
      writtenBytes: count * 210,
      fsyncs: receipt === undefined ? 0 : seconds * 2_000,
      sentBytes: count * 130,
      sentMessages: count,
      stealShare: 0.002,
    },
  }
}

/** Latencies around `base` µs with a long tail. */
function spread(base: number, random: SeededRandom): number[] {
  return Array.from({ length: 2_000 }, () => base * (0.75 + 0.25 / (1.001 - random.next()) ** 0.6))
}

function latencyPlot(runs: readonly Run[], quantile: 'p50' | 'p99'): Plot {
  return {
    title: `${quantile} against offered rate`,
    kind: 'lines',
    x: { label: 'offered', unit: 'samples/s', scale: 'log' },
    y: { label: `live latency, ${quantile}`, unit: 'ms', scale: 'log' },
    series: bySystem(runs, (of) =>
      [...Map.groupBy(of, ({ load }) => load.rate!)].map(([x, repeated]) => ({
        x,
        ...interval(repeated.map(({ live }) => live![quantile] / 1000)),
        isHollow: repeated.some(({ isSustained, voids }) => !isSustained || voids.length > 0),
      })),
    ),
  }
}

function tailPlot(runs: readonly Run[]): Plot {
  return {
    title: 'Live latency at 1,000 samples/s, all blocks together',
    kind: 'lines',
    x: { label: 'percentile', unit: '%', scale: 'tail' },
    y: { label: 'live latency', unit: 'ms', scale: 'log' },
    series: bySystem(atFirstRate(runs), (of) => {
      const values = percentiles(together(of, 'live')!, PERCENTILES)
      return PERCENTILES.map((x, index) => ({ x, y: values[index]! / 1000 }))
    }),
  }
}

function costPlot(runs: readonly Run[]): Plot {
  return {
    title: 'CPU at 1,000 and 5,000 samples/s',
    kind: 'bars',
    x: { label: 'offered' },
    y: { label: 'CPU of a million samples', unit: 's' },
    series: bySystem(runs, (of) =>
      RATES.slice(0, 2).map((rate) => ({
        x: `${rate.toLocaleString('en')} samples/s`,
        ...interval(of.filter(({ load }) => load.rate === rate).map(FIGURES.cpuPerMillion)),
      })),
    ),
  }
}

function costTable(runs: readonly Run[]): Table {
  return {
    columns: [
      { name: 'system' },
      { name: 'receipts', unit: 'samples/s' },
      { name: 'CPU', unit: 's/million' },
    ],
    rows: [...Map.groupBy(runs, ({ cell }) => cell)].map(([name, of]) => [
      name,
      median(of, FIGURES.receiptsPerSecond),
      median(of, FIGURES.cpuPerMillion),
    ]),
  }
}

function atFirstRate(runs: readonly Run[]): Run[] {
  return runs.filter(({ load }) => load.rate === RATES[0])
}

function bySystem(
  runs: readonly Run[],
  points: (of: readonly Run[]) => Point[],
): { name: string; points: Point[] }[] {
  return [...Map.groupBy(runs, ({ cell }) => cell)].map(([name, of]) => ({
    name,
    points: points(of),
  }))
}

function interval(values: readonly number[]): { y: number; low: number; high: number } {
  const sorted = values.toSorted((a, b) => a - b)
  return { y: sorted[sorted.length >> 1]!, low: sorted[0]!, high: sorted.at(-1)! }
}

/** Made once: histograms take their time. */
const RUNS = exampleRuns()

function exampleRuns(): Run[] {
  const random = new SeededRandom(5)
  return RATES.flatMap((rate) =>
    Array.from({ length: BLOCKS }, (_, block) =>
      SYSTEMS.filter(({ most }) => rate < most * 10).map((system) =>
        exampleRun(system, rate, block, random),
      ),
    ).flat(),
  )
}
