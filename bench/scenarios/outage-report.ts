// What the runs of `outage` say: what was lost, how soon it went on, what live subscribers saw.
import type { Cell, Report, Section, Table } from '../report/report.ts'
import type { Run } from '../result.ts'
import { byCell } from '../stats/by-cell.ts'
import { counts, median, type Figure } from '../stats/figures.ts'
import type { OutageFigures } from './outage-figures.ts'
import { overTime } from './over-time.ts'
import {
  againstOthers,
  counted,
  digits,
  duration,
  FASTER,
  listed,
  noiseSentence,
  voidSentence,
} from './sentences.ts'

type Cells = ReadonlyMap<string, readonly Run[]>

/** From the servers' answer to the first receipt. */
const GOAL_MS = 200

export function outageReport(question: string, runs: readonly Run[]): Report {
  const { cells } = byCell(runs.filter(({ extra }) => extra !== undefined))
  return {
    title: 'Outage',
    question,
    sections:
      cells.size === 0
        ? [{ title: 'Outage', finding: `Nothing was measured.${voidSentence(runs)}` }]
        : [losses(cells, runs), recovery(cells), live(cells)],
  }
}

const of =
  (name: keyof OutageFigures): Figure =>
  ({ extra }) =>
    extra?.[name]

function losses(cells: Cells, runs: readonly Run[]): Section {
  const rows = [...cells].map(([name, all]): Cell[] => {
    const own = all.filter(counts)
    return [
      name,
      own.length,
      total(own, published),
      ...FATES.map(([, , figure]) => total(own, figure)),
    ]
  })
  const table: Table = {
    columns: [
      { name: 'system' },
      { name: 'runs' },
      { name: 'published' },
      ...FATES.map(([name]) => ({ name })),
    ],
    rows,
  }
  return {
    title: 'What was lost',
    finding: lossSentence(cells) + voidSentence(runs),
    tables: [table],
  }
}

const published: Figure = (run) => run.counts.published

/** Name of the column, words in a sentence. */
const FATES: readonly (readonly [string, string, Figure])[] = [
  ['no receipt', 'never got a receipt', of('withoutReceipt')],
  ['lost after it', 'were lost after their receipt', of('lostAfterReceipt')],
  ['stored twice', 'were stored twice', of('storedTwice')],
  ['not live', 'were not delivered live', of('notDelivered')],
  ['live twice', 'were delivered twice', of('deliveredTwice')],
]

function lossSentence(cells: Cells): string {
  const told = [...cells].flatMap(([name, all]) => {
    const own = all.filter(counts)
    if (own.length === 0) return []
    const bad = FATES.flatMap(([, words, figure]) => {
      const count = total(own, figure)
      return count === 0 ? [] : [`${count.toLocaleString('en')} ${words}`]
    })
    const amount = counted(total(own, published), 'sample')
    return bad.length === 0 ? [] : [`Of ${amount} of ${name} ${listed(bad)}.`]
  })
  const names = [...cells].flatMap(([name, all]) => (all.some(counts) ? [name] : []))
  if (names.length === 0) return 'No run counts.'
  const all = [...cells.values()].flat().filter(counts)
  const amount = `${counted(total(all, published), 'sample')} of ${listed(names)}`
  const checked = 'When all was over, a new subscriber read everything back.'
  if (told.length > 0) return `${told.join(' ')} ${checked}`
  return `Nothing was lost and nothing came twice, of ${amount}. ${checked}`
}

function recovery(cells: Cells): Section {
  const [first] = cells
  const [firstName, own] = first!
  const ms = (runs: readonly Run[], name: keyof OutageFigures): number | undefined =>
    median(runs, of(name))
  const rows = [...cells].map(([name, runs]): Cell[] => [
    name,
    ms(runs, 'answerMs'),
    ms(runs, 'receiptAfterAnswerMs'),
    ms(runs, 'receiptAfterStartMs'),
    ms(runs, 'drainedAfterAnswerMs'),
    ms(runs, 'drainedAfterStartMs'),
  ])
  const columns = [
    { name: 'system' },
    { name: 'answer', unit: 'ms after start' },
    { name: 'first receipt', unit: 'ms after answer' },
    { name: 'first receipt', unit: 'ms after start' },
    { name: 'drained', unit: 'ms after answer' },
    { name: 'drained', unit: 'ms after start' },
  ]
  const comparison = againstOthers(cells, of('drainedAfterStartMs'), FASTER)
  const finding = [
    ...[...cells].map(([name, runs]) => recoverySentence(name, runs)),
    ...(comparison === undefined
      ? []
      : [`From the start of its servers until it has drained ${firstName} is ${comparison}.`]),
    ...(own[0]!.setting.system === 'skein'
      ? goalSentence(firstName, ms(own, 'receiptAfterAnswerMs'))
      : []),
    'Medians over blocks; drained is the last receipt for what was due before the servers answered.',
  ].join(' ')
  const caveat = noiseSentence([...cells.values()].flat())
  return { title: 'Until it goes on', finding: finding + caveat, tables: [{ columns, rows }] }
}

function recoverySentence(name: string, runs: readonly Run[]): string {
  if (!runs.some(counts)) return `No run of ${name} counts.`
  const after = (figure: keyof OutageFigures): string => duration(median(runs, of(figure)))
  return (
    `${name}: started, its servers answer after ${after('answerMs')}, the first receipt comes after ` +
    `${after('receiptAfterStartMs')}, the last for what had waited after ${after('drainedAfterStartMs')}.`
  )
}

function goalSentence(name: string, ms: number | undefined): string[] {
  if (ms === undefined) return []
  const is = ms <= GOAL_MS ? 'met' : 'missed'
  const how = `${duration(ms)} from the answer of its servers to the first receipt`
  return [`The goal of ${GOAL_MS} ms is ${is} by ${name}: ${how}.`]
}

function live(cells: Cells): Section {
  const rows = [...cells].map(([name, runs]): Cell[] => [
    name,
    percent(median(runs, of('liveMeanwhile'))),
    median(runs, of('liveGapMs')),
  ])
  const columns = [
    { name: 'system' },
    { name: 'delivered live meanwhile', unit: '% of what was due' },
    { name: 'longest gap', unit: 'ms' },
  ]
  const sentences = [...cells].flatMap(([name, runs]) => {
    const share = percent(median(runs, of('liveMeanwhile')))
    if (share === undefined) return []
    const gap = duration(median(runs, of('liveGapMs')))
    return [
      `${name} delivered ${digits(share)} % of what was published while its servers were away, with no ` +
        `gap longer than ${gap}.`,
    ]
  })
  const shown = { since: 'the kill', label: 'so far' }
  return {
    title: 'Meanwhile',
    finding: `${sentences.join(' ')} The plots show the first run of each system.`,
    tables: [{ columns, rows }],
    plots: [
      overTime(cells, { ...shown, title: 'Receipts', name: 'receipts' }),
      overTime(cells, { ...shown, title: 'Live deliveries', name: 'deliveries' }),
    ],
  }
}

function percent(share: number | undefined): number | undefined {
  return share === undefined ? undefined : 100 * share
}

function total(runs: readonly Run[], figure: Figure): number {
  return runs.reduce((sum, run) => sum + (figure(run) ?? 0), 0)
}
