import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Dropped } from './queue.ts'
import { LinkQueue } from './queue.ts'
import type { Outgoing } from './wire.ts'

const topic = Buffer.from('t/1/x')

function message(label: number, length: number, directed: boolean): Outgoing {
  const bytes = Buffer.alloc(Math.max(4, length))
  bytes.writeUInt32LE(label)
  return { topic, bytes, directed, owned: false }
}

const labelOf = ({ bytes }: Outgoing): number => Buffer.from(bytes).readUInt32LE()
const nothing = (): Dropped => ({ messages: 0, bytes: 0 })

describe('link queue', () => {
  it('leaves in the order it came, across both lanes', () => {
    const queue = new LinkQueue(1_000_000)
    for (let label = 0; label < 5000; label += 1) {
      queue.push(message(label, 10, label % 3 === 0), nothing())
    }
    const labels: number[] = []
    while (queue.length > 0) labels.push(...queue.take(500).map(labelOf))
    expect(labels).toEqual(Array.from({ length: 5000 }, (_, label) => label))
    expect(queue.bytes).toBe(0)
  })

  it('full - live drops its oldest, directed is refused', () => {
    const queue = new LinkQueue(1000)
    const dropped = nothing()
    for (let label = 0; label < 20; label += 1) queue.push(message(label, 131, false), dropped)
    expect(dropped).toEqual({ messages: 15, bytes: 15 * 131 })
    expect(queue.take(1e9).map(labelOf)).toEqual([15, 16, 17, 18, 19])
    const taken = [0, 1, 2, 3, 4, 5].map((label) => queue.push(message(label, 131, true), dropped))
    expect(taken).toEqual([true, true, true, true, true, false])
    expect(queue.push(message(9, 131, false), dropped)).toBe(false)
    expect(dropped.messages).toBe(15)
  })

  it('empty - takes a message larger than its limit', () => {
    const queue = new LinkQueue(1000)
    expect(queue.push(message(1, 5000, true), nothing())).toBe(true)
    expect(queue.push(message(2, 5000, true), nothing())).toBe(false)
    expect(queue.take(100)).toHaveLength(1)
  })

  it('a mark - is passed when all before it has left, not sooner', () => {
    const queue = new LinkQueue(1000)
    queue.push(message(1, 10, false), nothing())
    queue.push(message(2, 10, true), nothing())
    const mark = queue.mark()
    queue.push(message(3, 10, false), nothing())
    queue.take(1)
    expect(queue.isPast(mark, false)).toBe(false)
    queue.take(1)
    expect(queue.isPast(mark, false)).toBe(true)
    expect(queue.length).toBe(1)
  })

  it('any sequence of operations - keeps the bound, the order and the count', () => {
    const operation = fc.oneof(
      fc.record({ push: fc.nat({ max: 900 }), directed: fc.boolean() }),
      fc.record({ take: fc.nat({ max: 2000 }) }),
    )
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
        const queue = new LinkQueue(3000)
        const dropped = nothing()
        let pushed = 0
        let refused = 0
        const taken: number[] = []
        for (const step of operations) {
          if ('push' in step) {
            if (!queue.push(message(pushed, step.push, step.directed), dropped)) refused += 1
            pushed += 1
          } else {
            taken.push(...queue.take(step.take).map(labelOf))
          }
          expect(queue.bytes).toBeLessThanOrEqual(3000)
          expect(queue.length + taken.length + refused + dropped.messages).toBe(pushed)
        }
        expect(taken).toEqual([...taken].sort((a, b) => a - b))
      }),
    )
  })
})
