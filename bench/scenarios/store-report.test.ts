import { expect, test } from 'vitest'
import { ingest } from './store-ingest.ts'
import { extra, goalOf, isMet } from './store-part.ts'
import { restart } from './store-restart.ts'
import { storeReport } from './store-report.ts'
import { madeRun } from './testing.ts'

const PARTS = [ingest, restart]

const restarted = (end: string, block: number, answerSeconds: number, voids: string[] = []) =>
  madeRun({ cell: `restart: ${end}`, block, voids, extra: { gigabytes: 10, answerSeconds } })

const ingested = (place: string, block: number, megabytes: number) =>
  madeRun({
    cell: `ingest: ${place}, blocks`,
    block,
    extra: {
      bytesPerSecond: megabytes * 1e6,
      bareBeforeBytesPerSecond: 500e6,
      bareAfterBytesPerSecond: 700e6,
    },
  })

const goalRows = (...runs: Parameters<typeof storeReport>[2][number][]) => {
  const [goals] = storeReport('?', PARTS, runs).sections
  return { finding: goals!.finding, rows: goals!.tables![0]!.rows }
}

test('goals are told as met or not, of the runs that count', () => {
  const { finding, rows } = goalRows(
    restarted('stopped', 0, 1.5),
    restarted('stopped', 1, 1.7),
    restarted('stopped', 2, 1.6),
    restarted('killed', 0, 12),
    restarted('killed', 1, 14),
    restarted('killed', 2, 1, ['not so']),
  )
  expect(finding).toContain('1 of 2 are met')
  expect(rows).toEqual([
    ['answers after it was stopped, 10 GB', '≤ 2 s', '1.6 s', '1.5–1.7', 'met'],
    ['answers after it was killed, 10 GB', '≤ 10 s', '14 s', '12–14', 'not met'],
  ])
})

test('what was not measured is no goal met', () => {
  const goal = goalOf({ what: '?', bound: 'most', goal: 1, unit: 's' }, [], extra('answerSeconds'))
  expect(isMet(goal)).toBeUndefined()
})

test('synced bytes are held against Kafka and against the disk before and after', () => {
  const blocks = [0, 1, 2, 3, 4]
  const { rows } = goalRows(
    ...blocks.map((block) => ingested('skein', block, 300 + block)),
    ...blocks.map((block) => ingested('kafka', block, 250 + block)),
  )
  const [kafka, disk] = rows
  expect(kafka!.slice(1, 3)).toEqual(['≥ 1.5', expect.stringMatching(/^1\.2/)])
  expect(kafka!.at(-1)).toBe('not met')
  expect(disk!.slice(1, 3)).toEqual(['≥ 0.5', expect.stringMatching(/^0\.50/)])
  expect(disk!.at(-1)).toBe('met')
})
