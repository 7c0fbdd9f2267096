// Two results of one scenario side by side: what became faster or slower between them. Their runs were not
// measured in turns, so that a machine that was busier that day looks like a difference; a cell is called
// equal where the runs of one result lie among those of the other.
import { BenchError } from '../errors.ts'
import type { Distribution, Machine, Result, Run } from '../result.ts'
import { counts, FIGURES, median, together, type Figure } from '../stats/figures.ts'
import { conditionNames } from './conditions.ts'
import { figure } from './figure.ts'
import type { Cell, Report, Section } from './report.ts'

export interface CompareOptions {
  /** Compares results of different machines too; the report says so. */
  readonly force: boolean
}

/**
 * @throws BenchError BENCH_RESULT_INVALID when the scenarios differ; BENCH_MACHINES_DIFFER when the
 * machines do, and `force` is not given.
 */
export function compareResults(first: Result, second: Result, { force }: CompareOptions): Report {
  if (first.scenario !== second.scenario) {
    throw new BenchError(
      'BENCH_RESULT_INVALID',
      `cannot compare ${first.scenario} with ${second.scenario}: results must be of one scenario`,
    )
  }
  const differences = machineDifferences(first.machine, second.machine)
  if (differences.length > 0 && !force) {
    throw new BenchError(
      'BENCH_MACHINES_DIFFER',
      `measured on different machines: ${differences.join('; ')}. --force compares them all the same`,
    )
  }
  const pairs = pairsOf(first, second)
  const sections = COMPARED.flatMap((compared) => comparedSection(compared, pairs) ?? [])
  return {
    title: `${first.scenario}: ${dateOf(first)} and ${dateOf(second)}`,
    question: 'What is different in the second result? Ratios are the second over the first.',
    sections: [
      ...differentMachines(differences),
      ...(sections.length > 0 ? sections : [NOTHING]),
      ...onlyInOne(pairs),
    ],
  }
}

const NOTHING: Section = {
  title: 'Nothing to compare',
  finding: 'No cell has runs that count in both results.',
}

function dateOf({ startedAt, isComplete }: Result): string {
  const date = startedAt.slice(0, 16).replace('T', ' ')
  return isComplete ? date : `${date} (not complete)`
}

/** `kernel 6.12.0 and 6.18.5`. */
function machineDifferences(first: Machine, second: Machine): string[] {
  return MACHINE_PARTS.flatMap(([name, part]) => {
    const [one, other] = [part(first), part(second)]
    return one === other ? [] : [`${name} ${one} and ${other}`]
  })
}

const MACHINE_PARTS: readonly (readonly [string, (machine: Machine) => string | number])[] = [
  ['host', ({ host }) => host],
  ['processor', ({ cpuModel }) => cpuModel],
  ['processors', ({ cpus }) => cpus],
  ['kernel', ({ kernel }) => kernel],
  ['Node.js', ({ node }) => node.split('.')[0]!],
]

function differentMachines(differences: readonly string[]): Section[] {
  if (differences.length === 0) return []
  const finding = `A ratio may be that of the machines, not of what ran on them: ${differences.join('; ')}.`
  return [{ title: 'Different machines', finding }]
}

/** One condition, in both results. */
interface Pair {
  readonly name: string
  readonly first: Side
  readonly second: Side
}

/** Those that count. */
interface Side {
  readonly runs: readonly Run[]
  /** Of all of them together. */
  readonly live: Distribution | undefined
  readonly receipt: Distribution | undefined
}

/** Named together, so that the same condition has the same name in both. */
function pairsOf(first: Result, second: Result): Pair[] {
  const counted = [first, second].map(({ runs }) => runs.filter(counts))
  const nameOf = conditionNames(counted.flat())
  const [firsts, seconds] = counted.map((runs) => Map.groupBy(runs, nameOf))
  return [...new Set(counted.flat().map(nameOf))].map((name) => ({
    name,
    first: sideOf(firsts!.get(name) ?? []),
    second: sideOf(seconds!.get(name) ?? []),
  }))
}

function sideOf(runs: readonly Run[]): Side {
  return { runs, live: together(runs, 'live'), receipt: together(runs, 'receipt') }
}

interface Compared {
  readonly title: string
  readonly unit: string
  /** Of one run. */
  readonly figure: Figure
  /** Of all runs of a side. */
  readonly of: (side: Side) => number | undefined
}

const ms = (us: number | undefined): number | undefined => us && us / 1000

function latency(which: 'live' | 'receipt', quantile: 'p50' | 'p99'): Compared {
  return {
    title: `${which} ${quantile}`,
    unit: 'ms',
    figure: (run) => ms(run[which]?.[quantile]),
    of: (side) => ms(side[which]?.[quantile]),
  }
}

function middle(title: string, unit: string, figure: Figure): Compared {
  return { title, unit, figure, of: ({ runs }) => median(runs, figure) }
}

const COMPARED: readonly Compared[] = [
  latency('live', 'p50'),
  latency('live', 'p99'),
  latency('receipt', 'p50'),
  latency('receipt', 'p99'),
  // None at all is no rate: the system gives no receipts.
  middle('receipts', 'samples/s', (run) => FIGURES.receiptsPerSecond(run) || undefined),
  middle('CPU', 's/million', FIGURES.cpuPerMillion),
]

const VERDICTS = ['lower', 'higher', 'equal', 'one run'] as const
type Verdict = (typeof VERDICTS)[number]

/** Undefined when no condition has the figure in both. */
function comparedSection(compared: Compared, pairs: readonly Pair[]): Section | undefined {
  const rows: Cell[][] = []
  const verdicts: Verdict[] = []
  for (const { name, first, second } of pairs) {
    const [before, after] = [compared.of(first), compared.of(second)]
    if (before === undefined || after === undefined) continue
    const verdict = verdictOf(values(first, compared), values(second, compared))
    rows.push([name, before, after, after / before, verdict])
    verdicts.push(verdict)
  }
  if (rows.length === 0) return undefined
  const { title, unit } = compared
  const columns = [
    { name: 'cell' },
    { name: 'first', unit },
    { name: 'second', unit },
    { name: 'ratio' },
    { name: 'second is' },
  ]
  return { title, finding: findingOf(verdicts), tables: [{ columns, rows }] }
}

function values({ runs }: Side, { figure }: Compared): number[] {
  return runs.flatMap((run) => figure(run) ?? [])
}

/** One run on a side has no spread to judge by. */
function verdictOf(first: readonly number[], second: readonly number[]): Verdict {
  if (first.length < 2 || second.length < 2) return 'one run'
  if (Math.max(...second) < Math.min(...first)) return 'lower'
  if (Math.min(...second) > Math.max(...first)) return 'higher'
  return 'equal'
}

/** `Of 12: 2 lower, 10 equal.` */
function findingOf(verdicts: readonly Verdict[]): string {
  const parts = VERDICTS.flatMap((verdict) => {
    const count = verdicts.filter((each) => each === verdict).length
    return count === 0 ? [] : [`${figure(count)} ${verdict}`]
  })
  return `Of ${verdicts.length}: ${parts.join(', ')}.`
}

function onlyInOne(pairs: readonly Pair[]): Section[] {
  const rows = pairs.flatMap(({ name, first, second }) => {
    if (first.runs.length > 0 && second.runs.length > 0) return []
    return [[name, first.runs.length > 0 ? 'first' : 'second']]
  })
  if (rows.length === 0) return []
  return [
    {
      title: 'Only in one',
      finding: 'The other result has no run of these that counts.',
      tables: [{ columns: [{ name: 'cell' }, { name: 'result' }], rows }],
    },
  ]
}
