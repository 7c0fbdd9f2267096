import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PeerId, SchemaId } from './names.ts'
import {
  ackTopic,
  backlogTopic,
  checkPattern,
  checkTopic,
  liveTopic,
  PEERS_TOPIC,
  SCHEMA_ASK_TOPIC,
  schemaTopic,
  TOPIC_BYTES_MAX,
  topicMatches,
} from './topic.ts'

describe('topicMatches', () => {
  it.each([
    ['t/1/x', 't/1/x'],
    ['t/*/x', 't/1/x'],
    ['t/>', 't/1'],
    ['t/>', 't/1/x/y'],
    ['>', 'a'],
    ['*/*', 'a/b'],
    ['t/*/>', 't/1/x'],
  ])('%s matches %s', (pattern, topic) => {
    expect(topicMatches(pattern, topic)).toBe(true)
  })

  it.each([
    ['t/1/x', 't/10/x'],
    ['t/1/x', 't/1/xy'],
    ['t/1', 't/1/x'],
    ['t/1/x', 't/1'],
    ['t/*', 't/1/x'],
    ['t/*', 't'],
    ['t/>', 't'],
    ['t/*/>', 't/1'],
    ['*', 'a/b'],
  ])('%s does not match %s', (pattern, topic) => {
    expect(topicMatches(pattern, topic)).toBe(false)
  })

  it('agrees with a regular expression made of the pattern', () => {
    const level = fc.constantFrom('a', 'b', 'ab', '1', '10', 'a.b')
    const topic = fc.array(level, { minLength: 1, maxLength: 5 })
    const pattern = fc
      .tuple(fc.array(fc.oneof(level, fc.constant('*')), { maxLength: 5 }), fc.boolean())
      .map(([levels, open]) => (open || levels.length === 0 ? [...levels, '>'] : levels))
    fc.assert(
      fc.property(pattern, topic, (wanted, levels) => {
        const source = wanted
          .map((want) => want.replaceAll('.', String.raw`\.`))
          .map((want) => (want === '*' ? '[^/]+' : want.replace('>', '.+')))
          .join('/')
        const naive = new RegExp(`^${source}$`).test(levels.join('/'))
        expect(topicMatches(wanted.join('/'), levels.join('/'))).toBe(naive)
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('checkTopic', () => {
  it('takes every topic of the mesh', () => {
    const id = '0123456789abcdef'
    const topics = [liveTopic(63, 'city.air'), backlogTopic(0), ackTopic(id as PeerId)]
    for (const topic of [...topics, schemaTopic(id as SchemaId), PEERS_TOPIC, SCHEMA_ASK_TOPIC]) {
      expect(checkTopic(topic)).toBe(topic)
    }
  })

  it.each(['', '/', 'a/', '/a', 'a//b', 'a b', 't/*', '>', 'x'.repeat(TOPIC_BYTES_MAX + 1)])(
    'refuses %j',
    (topic) => {
      expect(() => checkTopic(topic)).toThrow(RangeError)
    },
  )
})

describe('checkPattern', () => {
  it.each(['t/1/x', 't/*/x', 't/>', '>', '*'])('takes %s', (pattern) => {
    expect(checkPattern(pattern)).toBe(pattern)
  })

  it.each(['', 't/>/x', 't/a*', 't/*a', 't/a>', '>>', 't//x'])('refuses %j', (pattern) => {
    expect(() => checkPattern(pattern)).toThrow(RangeError)
  })
})
