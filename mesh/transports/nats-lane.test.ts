import { describe, expect, it } from 'vitest'
import { FakeClock } from '../fake-clock.ts'
import { newTransportCounters } from '../transport.ts'
import { NatsLane } from './nats-lane.ts'

/** What one message costs with these bytes. */
const BYTES = Buffer.alloc(72)
const COST = 200

function laneWith(limits: { messages?: number; bytes?: number; all?: number }) {
  const clock = new FakeClock()
  const sent: string[] = []
  const counters = newTransportCounters()
  const lane = new NatsLane({
    send: ({ subject }, sequence) => sent.push(`${sequence} ${subject}`),
    windowMessages: limits.messages ?? 1000,
    windowBytes: limits.bytes ?? 1_000_000,
    bytesMax: limits.all ?? 1_000_000,
    counters,
    clock,
  })
  const push = (subject: string): boolean => lane.push({ subject, bytes: BYTES })
  return { clock, sent, counters, lane, push }
}

describe('NatsLane', () => {
  it('the window - is not passed, in messages or in bytes, and moves with confirmations', () => {
    for (const limits of [{ messages: 2 }, { bytes: 2 * COST + 10 }]) {
      const { sent, lane, push } = laneWith(limits)
      for (const subject of ['a', 'b', 'c', 'd']) push(subject)
      expect(sent).toEqual(['1 a', '2 b'])
      // Out of order, twice, and never sent.
      for (const sequence of [2, 2, 0, -5, 99]) lane.confirm(sequence)
      expect(sent.length).toBeLessThanOrEqual(3)
      lane.confirm(1)
      expect(sent).toEqual(['1 a', '2 b', '3 c', '4 d'])
      lane.confirmUpTo(4)
      expect(lane.queuedBytes).toBe(0)
    }
  })

  it('a message larger than the window - goes alone', () => {
    const { sent, lane, push } = laneWith({ bytes: 100 })
    push('a')
    push('b')
    expect(sent).toEqual(['1 a'])
    lane.confirm(1)
    expect(sent).toEqual(['1 a', '2 b'])
  })

  it('the limit - says stop at half of it, and drops the newest past it, counted', () => {
    const { counters, push } = laneWith({ messages: 1, all: 4 * COST })
    expect(['a', 'b', 'c', 'd', 'e'].map(push)).toEqual([true, true, false, false, false])
    expect([counters.droppedMessages, counters.droppedBytes]).toEqual([1, 72])
  })

  it('flush - waits for what was pushed until then; what is lost counts as done', async () => {
    const { counters, lane, push } = laneWith({ messages: 2 })
    await lane.flush()
    for (const subject of ['a', 'b', 'c']) push(subject)
    const done: string[] = []
    const first = lane.flush().then(() => done.push('first'))
    push('d')
    const second = lane.flush().then(() => done.push('second'))
    lane.confirmUpTo(2)
    lane.confirm(3)
    await first
    expect(done).toEqual(['first'])
    lane.lose()
    await second
    expect(counters.droppedMessages).toBe(1)
    // Too late.
    lane.confirm(4)
    push('e')
    expect(lane.lastSent).toBe(5)
    lane.confirm(5)
    expect(lane.queuedBytes).toBe(0)
  })

  it('stalled - is how long nothing was confirmed while something should have been', async () => {
    const { clock, lane, push } = laneWith({})
    await clock.advance(5000)
    expect(lane.stalledMs()).toBe(0)
    push('a')
    push('b')
    await clock.advance(3000)
    expect(lane.stalledMs()).toBe(3000)
    lane.confirm(1)
    await clock.advance(1000)
    expect(lane.stalledMs()).toBe(1000)
    lane.confirm(2)
    expect(lane.stalledMs()).toBe(0)
  })
})
