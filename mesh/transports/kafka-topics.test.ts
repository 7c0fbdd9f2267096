import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { topicMatches } from '../topic.ts'
import { coversSchemas, escapeMeshName, placeOf, placesOf } from './kafka-topics.ts'

describe('topics on Kafka', () => {
  it('a shard - is a partition', () => {
    expect(placeOf('t/0/vehicle.motion')).toEqual({ kind: 'telemetry', partition: 0 })
    expect(placeOf('t/63/x')).toEqual({ kind: 'telemetry', partition: 63 })
    expect(placeOf('t/64/x')).toEqual({ kind: 'telemetry', partition: 0 })
    expect(placeOf('b/12')).toEqual({ kind: 'backlog', partition: 12 })
    expect(placeOf('t/none/x').kind).toBe('telemetry')
  })

  it('acks - have sixteen partitions, everything else one', () => {
    const partitions = Array.from({ length: 500 }, (_, index) => placeOf(`a/${index}`).partition)
    expect(new Set(partitions).size).toBe(16)
    expect(placeOf('s/0011')).toEqual({ kind: 'schemas', partition: 0 })
    for (const topic of ['m/peers', 't', 's', 'x/y/z', 'tt/1']) {
      expect(placeOf(topic)).toEqual({ kind: 'members', partition: 0 })
    }
  })

  it('a pattern - is read wherever a topic that matches can be', () => {
    const level = fc.constantFrom('t', 'b', 'a', 's', 'm', '0', '7', '70', 'x', 'ask')
    const topics = fc.array(level, { minLength: 1, maxLength: 4 })
    const patterns = fc
      .tuple(fc.array(fc.oneof(level, fc.constant('*')), { maxLength: 4 }), fc.boolean(), level)
      .map(([levels, isOpen, last]) => [...levels, isOpen ? '>' : last])
    fc.assert(
      fc.property(topics, patterns, (levels, wanted) => {
        const [topic, pattern] = [levels.join('/'), wanted.join('/')]
        fc.pre(topicMatches(pattern, topic))
        expect(placesOf(pattern)).toContainEqual(placeOf(topic))
      }),
      { numRuns: 2000, maxSkipsPerRun: 1000 },
    )
  })

  it('a pattern with a shard - is one partition', () => {
    expect(placesOf('t/5/>')).toEqual([{ kind: 'telemetry', partition: 5 }])
    expect(placesOf('t/*/x').length).toBe(64)
    expect(placesOf('a/me')).toEqual([placeOf('a/me')])
  })

  it('schemas - are covered by what can match them', () => {
    expect(['s/>', 's/*', 's/0011', '>', '*/x'].every(coversSchemas)).toBe(true)
    expect(['t/>', 's', 'm/peers', 'a/>'].some(coversSchemas)).toBe(false)
  })

  it('names of meshes - stay apart, and within what Kafka allows', () => {
    expect(escapeMeshName('my-mesh')).toBe('my-mesh')
    expect(escapeMeshName('a.b')).toBe('a_2eb')
    expect(escapeMeshName('a_b')).toBe('a_5fb')
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (a, b) => {
        expect(escapeMeshName(a)).toMatch(/^[A-Za-z0-9_-]*$/)
        // Lone surrogates have no bytes of their own.
        fc.pre(a.isWellFormed() && b.isWellFormed())
        expect(escapeMeshName(a) === escapeMeshName(b)).toBe(a === b)
      }),
    )
  })
})
