// What the runs of `fan` say, by shape: latencies at the rate that all take, who works for a delivery, the
// most that is sustained.
import type { Axis, Cell, Plot, Report, Section } from '../report/report.ts'
import type { Run } from '../result.ts'
import { byCell } from '../stats/by-cell.ts'
import { cpuSeconds, PARTS, type Part } from './cpu.ts'
import { compare, FIGURES, floorOf, median, ratioText, type Figure } from '../stats/figures.ts'
import {
  againstOthers,
  CHEAPER,
  digits,
  FASTER,
  listed,
  noiseSentence,
  voidSentence,
  type Words,
} from './sentences.ts'
import { sustained } from './steps.ts'

/** Runs by the name of their shape. */
type Shapes = ReadonlyMap<string, readonly Run[]>

export function fanReport(question: string, runs: readonly Run[]): Report {
  const title = 'Fan-in and fan-out'
  const rate = Math.min(...runs.map(({ load }) => load.rate!))
  const shapes = Map.groupBy(runs, shapeOf)
  if (shapes.size === 0) {
    return { title, question, sections: [{ title, finding: 'Nothing was measured.' }] }
  }
  const atRate = new Map(
    [...shapes].map(([shape, of]) => [shape, of.filter(({ load }) => load.rate === rate)]),
  )
  return {
    title,
    question,
    sections: [latencies(atRate, rate), effort(atRate, rate), most(shapes)],
  }
}

const shapeOf = ({ load }: Run): string => `${load.publishers} → ${load.subscribers}`

const ms =
  (figure: Figure): Figure =>
  (run) => {
    const us = figure(run)
    return us === undefined ? undefined : us / 1000
  }

/** By all subscribers, in the measured window. */
function deliveries({ publishedPerSecond, load, cost }: Run): number {
  return Math.max(1, publishedPerSecond * cost.seconds * load.subscribers)
}

/** CPU-seconds of a part, or of all, for a million deliveries. */
const cpuPerMillion =
  (parts: readonly Part[]): Figure =>
  (run) => {
    const seconds = parts.reduce((sum, part) => sum + cpuSeconds(run, part), 0)
    return (1e6 * seconds) / deliveries(run)
  }

const LATENCIES: readonly (readonly [string, Figure])[] = [
  ['live p50', ms(FIGURES.liveP50)],
  ['live p99', ms(FIGURES.liveP99)],
  ['receipt p50', ms(FIGURES.receiptP50)],
  ['receipt p99', ms(FIGURES.receiptP99)],
]

const P99: Axis = { label: 'p99', unit: 'ms', scale: 'log' }

function latencies(shapes: Shapes, rate: number): Section {
  const rows = [...shapes].flatMap(([shape, runs]) => {
    const { cells, controls } = byCell(runs)
    const [first] = cells.values()
    return [...cells].map(([name, own]): Cell[] => [
      shape,
      name,
      ...LATENCIES.map(([, figure]) => median(own, figure)),
      ratioOver(first!, own, controls, FIGURES.liveP50),
    ])
  })
  const first = firstName(shapes)
  const columns = [
    { name: 'shape' },
    { name: 'system' },
    ...LATENCIES.map(([name]) => ({ name, unit: 'ms' })),
    { name: 'ratio', unit: 'live p50' },
  ]
  const sentences = comparisons(shapes, FIGURES.liveP50, FASTER).map(
    ([shape, text]) => `${shape}: ${first} is live ${text} at p50.`,
  )
  return {
    title: `Latency at ${rate.toLocaleString('en')} samples/s`,
    finding: `${[...sentences, ratioHint(first)].join(' ')}${caveats(shapes)}`,
    tables: [{ columns, rows }],
    plots: [
      bars(shapes, 'Live latency', P99, ms(FIGURES.liveP99)),
      bars(shapes, 'Receipt latency', P99, ms(FIGURES.receiptP99)),
    ],
  }
}

function caveats(shapes: Shapes): string {
  const runs = [...shapes.values()].flat()
  return noiseSentence(runs) + voidSentence(runs)
}

function effort(shapes: Shapes, rate: number): Section {
  const rows = [...shapes].flatMap(([shape, runs]) => {
    const { cells, controls } = byCell(runs)
    const [first] = cells.values()
    return [...cells].map(([name, own]): Cell[] => [
      shape,
      name,
      ...PARTS.map((part) => median(own, cpuPerMillion([part]))),
      median(own, cpuPerMillion(PARTS)),
      ratioOver(first!, own, controls, cpuPerMillion(PARTS)),
    ])
  })
  const first = firstName(shapes)
  const columns = [
    { name: 'shape' },
    { name: 'system' },
    ...PARTS.map((part) => ({ name: `${part}s`, unit: 's / million' })),
    { name: 'all', unit: 's / million' },
    { name: 'ratio', unit: 'all' },
  ]
  const sentences = [
    ...comparisons(shapes, cpuPerMillion(PARTS), CHEAPER).map(
      ([shape, text]) => `${shape}: a delivery by ${first} is ${text}.`,
    ),
    ...payers(shapes),
  ]
  const axis = { label: 'CPU', unit: 's / million deliveries' }
  return {
    title: `Whose CPU, at ${rate.toLocaleString('en')} samples/s`,
    finding: [
      'For a million deliveries, medians over blocks.',
      ...sentences,
      ratioHint(first),
    ].join(' '),
    tables: [{ columns, rows }],
    plots: [
      bars(shapes, 'CPU of all', axis, cpuPerMillion(PARTS)),
      bars(shapes, 'CPU of publishers', axis, cpuPerMillion(['publisher'])),
      bars(shapes, 'CPU of servers', axis, cpuPerMillion(['server'])),
    ],
  }
}

/** What seven more subscribers add to the CPU of a sample, and where. */
function payers(shapes: Shapes): string[] {
  const [one, eight] = [shapes.get('1 → 1') ?? [], shapes.get('1 → 8') ?? []].map(
    (runs) => byCell(runs).cells,
  )
  return [...one!].flatMap(([name, runs]) => {
    const added = (['publisher', 'server'] as const).map((part) => {
      const of: Figure = (run) =>
        (1e6 * cpuSeconds(run, part)) / Math.max(1, run.publishedPerSecond * run.cost.seconds)
      const [before, after] = [median(runs, of), median(eight!.get(name) ?? [], of)]
      return before === undefined || after === undefined ? undefined : after - before
    })
    if (added.some((seconds) => seconds === undefined)) return []
    const [publisher, server] = added.map((seconds) => `${digits(seconds!)} s`)
    return [
      `Seven more subscribers add, for a million samples, ${publisher} to the publisher of ${name} and ` +
        `${server} to its servers.`,
    ]
  })
}

function most(shapes: Shapes): Section {
  const found = [...shapes].flatMap(([shape, runs]) =>
    [...byCell(runs).cells].map(([name, own]) => ({ shape, name, own, ...sustained(own) })),
  )
  const rows = found.map(({ shape, name, own, rate }): Cell[] => [
    shape,
    name,
    rate,
    rate === undefined ? undefined : rate * own[0]!.load.subscribers,
    why(own, rate),
  ])
  const columns = [
    { name: 'shape' },
    { name: 'system' },
    { name: 'sustained', unit: 'samples/s' },
    { name: 'that is', unit: 'deliveries/s' },
    { name: 'the next step' },
  ]
  const offered = [...new Set([...shapes.values()].flat().map(({ load }) => load.rate!))]
  const sentences = [...Map.groupBy(found, ({ shape }) => shape)].map(([shape, of]) => {
    const parts = of.map(({ name, rate, isMost }) => {
      if (rate === undefined)
        return `${name} ${isMost ? 'not even the lowest' : 'has no run that counts'}`
      return `${name} ${isMost ? '' : 'at least '}${rate.toLocaleString('en')}`
    })
    return `${shape}: ${listed(parts)}.`
  })
  return {
    title: 'The most that is sustained',
    finding:
      `Samples/s, of steps of ${listed(offered.sort((a, b) => a - b).map((rate) => rate.toLocaleString('en')))}: ` +
      `everything published, vouched for and delivered to everybody as fast as it is offered. ${sentences.join(' ')}`,
    tables: [{ columns, rows }],
    plots: [
      {
        title: 'Sustained',
        kind: 'bars',
        x: { label: 'shape' },
        y: { label: 'in', unit: 'samples/s', scale: 'log' },
        series: [...Map.groupBy(found, ({ name }) => name)].map(([name, of]) => ({
          name,
          points: of.flatMap(({ shape, rate }) =>
            rate === undefined ? [] : [{ x: shape, y: rate }],
          ),
        })),
      },
    ],
  }
}

/** What became of the first step that was too much. */
function why(runs: readonly Run[], kept = 0): string {
  const above = runs.filter(({ load }) => load.rate! > kept)
  if (above.length === 0) return 'not offered'
  const next = Math.min(...above.map(({ load }) => load.rate!))
  const [reason] = above.filter(({ load }) => load.rate === next).flatMap(({ voids }) => voids)
  return `${next.toLocaleString('en')}: ${reason ?? 'it fell behind'}`
}

const ratioHint = (first: string): string =>
  `The ratio is that of ${first} to each; in its own place stands how far it is from itself.`

function firstName(shapes: Shapes): string {
  return [...byCell([...shapes.values()].flat()).cells.keys()][0] ?? 'nothing'
}

/** Of the first system to another one; for itself, how far it is from its control. */
function ratioOver(
  first: readonly Run[],
  own: readonly Run[],
  controls: readonly Run[],
  figure: Figure,
): string {
  if (own !== first) return ratioText(compare(first, own, figure, floorOf(first, controls, figure)))
  if (compare(first, controls, figure) === undefined) return '–'
  return `± ${Math.round((floorOf(first, controls, figure) - 1) * 100)} %`
}

/** The first system against the others, for each shape. */
function comparisons(shapes: Shapes, figure: Figure, words: Words): [string, string][] {
  return [...shapes].flatMap(([shape, runs]): [string, string][] => {
    const { cells, controls } = byCell(runs)
    const [own] = cells.values()
    const text = againstOthers(cells, figure, words, floorOf(own ?? [], controls, figure))
    return text === undefined ? [] : [[shape, text]]
  })
}

function bars(shapes: Shapes, title: string, axis: Axis, figure: Figure): Plot {
  const names = [...byCell([...shapes.values()].flat()).cells.keys()]
  return {
    title,
    kind: 'bars',
    x: { label: 'publishers → subscribers' },
    y: axis,
    series: names.map((name) => ({
      name,
      points: [...shapes].flatMap(([shape, runs]) => {
        const y = median(byCell(runs).cells.get(name) ?? [], figure)
        return y === undefined ? [] : [{ x: shape, y }]
      }),
    })),
  }
}
