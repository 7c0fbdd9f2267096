// Life: subscribing, unsubscribing and closing, in every order and under load. Part of transport-suite.ts.
import { expect } from 'vitest'
import { eventually } from './eventually.ts'
import type { Cases } from './transport-rig.ts'
import {
  Collector,
  arrives,
  isProbe,
  numbers,
  publishAll,
  received,
  subscribed,
  text,
} from './transport-rig.ts'

const closedError = expect.objectContaining({ code: 'MESH_TRANSPORT_CLOSED' })

export function lifeCases(cases: Cases): void {
  cases.unreplayed('late joiner - gets what is published from then on', async (rig) => {
    const [a, b] = await rig.pair()
    const early = await subscribed(b, 't/1/x', a, 't/1/x')
    await publishAll(a, 't/1/x', numbers(10, 'early'))
    await received(early, 10)
    const c = await rig.open()
    await rig.connect(c, a)
    const late = await subscribed(c, 't/1/x', a, 't/1/x')
    await publishAll(a, 't/1/x', numbers(10, 'late'))
    await received(late, 10)
    await received(early, 20)
    expect(late.texts().every((value) => value.startsWith('late'))).toBe(true)
  })

  cases.all('a closed subscription - is not called any more, others are', async (rig) => {
    const [a, b] = await rig.pair()
    const other = await subscribed(b, 't/1/x', a, 't/1/x')
    const closing = new Collector()
    const subscription = await b.subscribe('t/1/x', closing.onBatch)
    await publishAll(a, 't/1/x', numbers(100))
    await received(closing, 100)
    await publishAll(a, 't/1/x', numbers(5000))
    await eventually(() => closing.messages.length > 100)
    await subscription.close()
    const { batches } = closing
    await publishAll(a, 't/1/x', numbers(1000))
    await received(other, 6100)
    expect(closing.batches).toBe(batches)
    await subscription.close()
  })

  cases.all('the last subscription closed - and opened again under load', async (rig) => {
    const [a, b] = await rig.pair()
    const steady = await subscribed(b, 't/2/x', a, 't/2/x')
    const publishing = new AbortController()
    const load = (async () => {
      for (let index = 0; !publishing.signal.aborted; index += 1) {
        a.publish('t/1/x', text(index))
        if (!a.publish('t/2/x', text(index))) await a.flush()
        if (index % 20 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
    })()
    try {
      for (let round = 0; round < 20; round += 1) {
        const got = new Collector()
        const subscription = await b.subscribe('t/1/x', got.onBatch)
        await eventually(() => got.messages.length > 0, { what: `messages in round ${round}` })
        await subscription.close()
        const { batches } = got
        await arrives(a, 't/2/x', steady)
        expect(got.batches).toBe(batches)
      }
    } finally {
      publishing.abort()
      await load
    }
    if (!cases.capabilities.ordered) return
    const order = steady.messages.map(({ bytes }) => Number(bytes.toString()))
    expect(order.every((value, index) => index === 0 || value > order[index - 1]!)).toBe(true)
  })

  cases.all('unsubscribed everywhere - messages are no longer sent', async (rig) => {
    const [a, b] = await rig.pair()
    if (cases.capabilities.brokered) return
    const got = new Collector()
    const subscription = await b.subscribe('t/1/x', got.onBatch)
    await arrives(a, 't/1/x', got)
    await subscription.close()
    await eventually(
      () => {
        const before = a.counters().sentMessages
        a.publish('t/1/x', text('x'))
        return a.flush().then(() => a.counters().sentMessages === before)
      },
      { what: 'publishing to nobody' },
    )
  })

  cases.all('close() - while sending, resolves; what arrived is a prefix', async (rig) => {
    const [a, b] = await rig.pair()
    const got = await subscribed(b, 't/1/x', a, 't/1/x')
    const bytes = Buffer.alloc(1000)
    for (let index = 0; index < 5000; index += 1) {
      bytes.writeUInt32LE(index)
      a.publish('t/1/x', Buffer.from(bytes))
    }
    await a.close()
    if (!cases.capabilities.ordered) return
    // Everything was within the queue's limit and the receiver takes it: the second is enough.
    await received(got, 5000)
    expect(got.messages.every((message, index) => message.bytes.readUInt32LE() === index)).toBe(
      true,
    )
  })

  cases.all('close() - is idempotent, also at the same time', async (rig) => {
    const a = await rig.open()
    await Promise.all([a.close(), a.close()])
    await a.close()
    const never = await rig.harness.create({})
    await never.close()
    await never.close()
  })

  cases.all('closed or not yet open - every call says MESH_TRANSPORT_CLOSED', async (rig) => {
    const a = await rig.harness.create({})
    expect(() => a.publish('t', text('x'))).toThrow(closedError)
    await expect(a.subscribe('t', () => {})).rejects.toEqual(closedError)
    await a.open()
    await expect(a.open()).rejects.toEqual(closedError)
    await a.close()
    expect(() => a.publish('t', text('x'))).toThrow(closedError)
    await expect(a.subscribe('t', () => {})).rejects.toEqual(closedError)
    await expect(a.open()).rejects.toEqual(closedError)
    await a.flush()
    expect(a.queuedBytes()).toBe(0)
  })

  cases.all('await using - closes', async (rig) => {
    const outer = await rig.harness.create({})
    {
      await using inner = outer
      await inner.open()
    }
    expect(() => outer.publish('t', text('x'))).toThrow(closedError)
  })

  cases.all('open() - an aborted signal rejects it', async (rig) => {
    const a = await rig.harness.create({})
    const reason = new Error('not today')
    await expect(a.open(AbortSignal.abort(reason))).rejects.toBe(reason)
    await a.close()
  })

  cases.all('no handler call - after the transport closed', async (rig) => {
    const [a, b] = await rig.pair()
    const got = await subscribed(b, 't/1/x', a, 't/1/x')
    for (const bytes of numbers(2000)) a.publish('t/1/x', bytes)
    await eventually(() => got.messages.length > 0)
    await b.close()
    const { batches } = got
    for (const bytes of numbers(2000)) a.publish('t/1/x', bytes)
    await a.flush()
    await a.close()
    expect(got.batches).toBe(batches)
  })

  cases.all('a handler that closes its own transport - harms nothing', async (rig) => {
    const [a, b] = await rig.pair()
    let calls = 0
    await subscribed(b, 't/1/x', a, 't/1/x')
    await b.subscribe('t/1/x', async (batch) => {
      if (batch.every(isProbe)) return
      calls += 1
      await b.close()
    })
    await arrives(a, 't/1/x', await subscribed(b, 't/1/x', a, 't/1/x'))
    a.publish('t/1/x', text('x'))
    await eventually(() => calls === 1)
    await b.close()
  })
}
