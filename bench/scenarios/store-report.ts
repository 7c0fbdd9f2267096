// What the runs of `store` say: the goals first, then each part.
import { figure } from '../report/figure.ts'
import type { Report, Section } from '../report/report.ts'
import type { Run } from '../result.ts'
import { noiseSentence, voidSentence } from './sentences.ts'
import { isMet, type Goal, type StorePart } from './store-part.ts'

export function storeReport(
  question: string,
  parts: readonly Pick<StorePart, 'name' | 'section' | 'goals'>[],
  runs: readonly Run[],
): Report {
  const measured = parts.flatMap((part) => {
    const own = runs.filter(({ cell }) => cell.startsWith(`${part.name}: `))
    return own.length === 0 ? [] : [{ part, own }]
  })
  const sections = measured.map(({ part, own }): Section => {
    const section = part.section(own)
    return { ...section, finding: `${section.finding}${voidSentence(own)}${noiseSentence(own)}` }
  })
  const goals = measured.flatMap(({ part, own }) => part.goals(own))
  return { title: 'Store', question, sections: [goalSection(goals), ...sections] }
}

function goalSection(goals: readonly Goal[]): Section {
  const judged = goals.filter((goal) => isMet(goal) !== undefined)
  const met = judged.filter(isMet).length
  return {
    title: 'Goals',
    finding:
      `${met} of ${judged.length} are met. Medians over blocks, with the least and the greatest; of ratios ` +
      'the mean over blocks, with its 95 % interval.',
    tables: [
      {
        columns: [
          { name: 'what' },
          { name: 'goal' },
          { name: 'measured' },
          { name: 'spread' },
          { name: '' },
        ],
        rows: goals.map((goal) => [
          goal.what,
          `${goal.bound === 'least' ? '≥' : '≤'} ${figure(goal.goal)}${unitText(goal)}`,
          goal.measured === undefined
            ? 'not measured'
            : `${figure(goal.measured)}${unitText(goal)}`,
          goal.spread ?? '',
          verdict(goal),
        ]),
      },
    ],
  }
}

const unitText = ({ unit }: Goal): string => (unit === 'ratio' ? '' : ` ${unit}`)

function verdict(goal: Goal): string {
  switch (isMet(goal)) {
    case undefined:
      return ''
    case true:
      return 'met'
    case false:
      return 'not met'
  }
}
