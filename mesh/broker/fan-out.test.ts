import { describe, expect, it } from 'vitest'
import { newTransportCounters } from '../transport.ts'
import { FanOut } from './fan-out.ts'
import type { HandlerQueue } from './handler-queue.ts'
import { HandlerQueue as Queue } from './handler-queue.ts'

const counters = newTransportCounters()

describe('FanOut', () => {
  it('each message - goes once to every subscription that matches, until it is taken away', async () => {
    const got: string[] = []
    const queue = (name: string): HandlerQueue =>
      new Queue({
        onBatch: (batch) => {
          for (const { topic } of batch) got.push(`${name} ${topic}`)
        },
        bytesMax: 1_000_000,
        counters,
      })
    const fanOut = new FanOut()
    const push = async (topic: string): Promise<void> => {
      fanOut.push({ topic, bytes: Buffer.alloc(1), from: undefined })
      await new Promise((resolve) => setImmediate(resolve))
    }
    fanOut.add('t/>', queue('all'))
    const remove = fanOut.add('t/*/x', queue('x'))
    await push('t/1/x')
    await push('t/1/y')
    await push('m/1')
    expect(got.splice(0)).toEqual(['all t/1/x', 'x t/1/x', 'all t/1/y'])
    remove()
    remove()
    fanOut.add('m/1', queue('late'))
    await push('t/1/x')
    await push('m/1')
    expect(got).toEqual(['all t/1/x', 'late m/1'])
    expect(fanOut.patterns()).toEqual(['t/>', 'm/1'])
  })
})
