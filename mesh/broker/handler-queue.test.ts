import { describe, expect, it } from 'vitest'
import { newTransportCounters, type BatchHandler, type Message } from '../transport.ts'
import { HandlerQueue } from './handler-queue.ts'

const message = (content: string | Buffer): Message => ({
  topic: 't/1/x',
  bytes: Buffer.from(content),
  from: undefined,
})

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function queueFor(onBatch: BatchHandler, bytesMax = 1_000_000) {
  const counters = newTransportCounters()
  return { counters, queue: new HandlerQueue({ onBatch, bytesMax, counters }) }
}

/** A handler that takes its time: each call waits until it is let go. */
class Slow {
  readonly batches: string[][] = []
  private gates: PromiseWithResolvers<void>[] = []

  readonly onBatch = (batch: readonly Message[]): Promise<void> => {
    this.batches.push(batch.map(({ bytes }) => bytes.toString()))
    const gate = Promise.withResolvers<void>()
    this.gates.push(gate)
    return gate.promise
  }

  async finish(error?: Error): Promise<void> {
    const gate = this.gates.shift()!
    if (error === undefined) gate.resolve()
    else gate.reject(error)
    await turn()
  }
}

describe('HandlerQueue', () => {
  it('messages of one turn - are one batch, after the turn', async () => {
    const batches: number[] = []
    const { queue } = queueFor((batch) => {
      batches.push(batch.length)
    })
    for (let count = 0; count < 5; count += 1) queue.push(message('x'))
    expect(batches).toEqual([])
    await turn()
    queue.push(message('x'))
    await turn()
    expect(batches).toEqual([5, 1])
  })

  it('a busy handler - is not called, and then gets all that gathered, as copies', async () => {
    const slow = new Slow()
    const { queue } = queueFor(slow.onBatch)
    queue.push(message('first'))
    await turn()
    const bytes = Buffer.from('second')
    queue.push({ topic: 't/1/x', bytes, from: undefined })
    bytes.fill('*')
    queue.push(message('third'))
    await turn()
    expect(slow.batches).toEqual([['first']])
    await slow.finish()
    expect(slow.batches).toEqual([['first'], ['second', 'third']])
  })

  it('the limit - drops the oldest, counted; one larger than the limit passes alone', async () => {
    const slow = new Slow()
    const { queue, counters } = queueFor(slow.onBatch, 1000)
    queue.push(message('first'))
    await turn()
    for (let index = 0; index < 10; index += 1) queue.push(message(`${index}`.repeat(200)))
    expect([counters.droppedMessages, counters.droppedBytes]).toEqual([7, 1400])
    await slow.finish()
    expect(slow.batches[1]!.map((content) => content[0])).toEqual(['7', '8', '9'])
    queue.push(message('x'.repeat(5000)))
    await slow.finish()
    expect(slow.batches[2]![0]!.length).toBe(5000)
  })

  it('a delivery - is bounded too', async () => {
    const slow = new Slow()
    const { queue } = queueFor(slow.onBatch, 10_000_000)
    for (let index = 0; index < 5; index += 1) queue.push(message(Buffer.alloc(500_000)))
    await turn()
    await slow.finish()
    expect(slow.batches.map((batch) => batch.length)).toEqual([3, 2])
  })

  it('a handler that throws or rejects - loses its batch, counted, and is called again', async () => {
    const slow = new Slow()
    const rejecting = queueFor(slow.onBatch)
    rejecting.queue.push(message('first'))
    await turn()
    rejecting.queue.push(message('second'))
    await slow.finish(new Error('on purpose'))
    expect(slow.batches).toEqual([['first'], ['second']])
    expect(rejecting.counters).toMatchObject({ droppedMessages: 1, droppedBytes: 5 })
    const throwing = queueFor(() => {
      throw new Error('on purpose')
    })
    throwing.queue.push(message('abc'))
    await turn()
    throwing.queue.push(message('abc'))
    await turn()
    expect(throwing.counters).toMatchObject({ droppedMessages: 2, droppedBytes: 6 })
  })

  it('hold and release - what is given comes first; twice held is twice to release', async () => {
    const got: string[] = []
    const { queue } = queueFor((batch) => {
      got.push(...batch.map(({ bytes }) => bytes.toString()))
    })
    queue.hold()
    queue.hold()
    queue.push(message('live'))
    await turn()
    queue.release([message('kept')])
    await turn()
    expect(got).toEqual([])
    queue.release([message('older')])
    await turn()
    expect(got).toEqual(['older', 'kept', 'live'])
  })

  it('closed - calls nobody any more, whatever waits', async () => {
    const slow = new Slow()
    const { queue } = queueFor(slow.onBatch)
    queue.push(message('first'))
    await turn()
    queue.push(message('second'))
    queue.close()
    queue.push(message('third'))
    await slow.finish()
    expect(slow.batches).toEqual([['first']])
  })
})
