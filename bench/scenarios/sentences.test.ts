import { describe, expect, it } from 'vitest'
import {
  against,
  counted,
  duration,
  FASTER,
  listed,
  noiseSentence,
  voidSentence,
} from './sentences.ts'
import { madeRun } from './testing.ts'

const comparison = { ratio: 0.5, low: 0.4, high: 0.625, blocks: 5, verdict: 'faster' } as const

describe('sentences', () => {
  it('say who is faster, and by how much', () => {
    expect(against('kafka', comparison, FASTER)).toBe('2 times faster than kafka (1.6–2.5)')
  })

  it('say it when we lose', () => {
    const lost = { ratio: 3, low: 2.5, high: 4, blocks: 5, verdict: 'slower' } as const
    expect(against('kafka', lost, FASTER)).toBe('3 times slower than kafka (2.5–4)')
  })

  it('call equal what is inside the noise', () => {
    const equal = { ratio: 0.97, low: 0.9, high: 1.1, blocks: 5, verdict: 'equal' } as const
    expect(against('nats', equal, FASTER)).toBe('no different from nats (ratio 0.9–1.1)')
  })

  it('claim nothing of a single block, which is told once', () => {
    const single = { ratio: 0.5, low: 0, high: Infinity, blocks: 1, verdict: 'equal' } as const
    expect(against('nats', single, FASTER)).toBe('2 times faster than nats')
    expect(noiseSentence([madeRun({})])).toBe(' 1 block: too few to tell a difference from noise.')
    expect(noiseSentence([0, 1, 2].map((block) => madeRun({ block })))).toBe('')
  })

  it('tell how many runs count for nothing, and why', () => {
    const runs = [madeRun({}), madeRun({ voids: ['1 samples lost', 'late'] })]
    expect(voidSentence(runs)).toBe(
      ' Of 2 runs 1 counts for nothing, as one of skein latency: 1 samples lost; late.',
    )
    expect(voidSentence(runs.slice(0, 1))).toBe('')
  })

  it('are made of lists, counts and durations', () => {
    expect(listed(['a', 'b', 'c'])).toBe('a, b and c')
    expect(listed([])).toBe('')
    expect(counted(12_000, 'sample')).toBe('12,000 samples')
    expect(counted(1, 'sample')).toBe('1 sample')
    expect([duration(-3.21), duration(240), duration(12_345), duration(undefined)]).toEqual([
      '-3.2 ms',
      '240 ms',
      '12 s',
      'never',
    ])
  })
})
