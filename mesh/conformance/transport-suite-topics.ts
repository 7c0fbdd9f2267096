// Topics and patterns: what reaches whom. Part of transport-suite.ts.
import { expect } from 'vitest'
import type { Cases } from './transport-rig.ts'
import {
  Collector,
  arrives,
  numbers,
  publishAll,
  received,
  subscribed,
  text,
} from './transport-rig.ts'

export function topicCases(cases: Cases): void {
  cases.all('a message arrives with its topic, its bytes and its sender', async (rig) => {
    const [a, b] = await rig.pair()
    const got = await subscribed(b, 't/1/x', a, 't/1/x')
    a.publish('t/1/x', Buffer.from([0, 255, 1]))
    await received(got, 1)
    const message = got.messages[0]!
    expect(message.topic).toBe('t/1/x')
    expect([...message.bytes]).toEqual([0, 255, 1])
    expect(Buffer.isBuffer(message.bytes)).toBe(true)
    if (!cases.capabilities.brokered) expect(message.from).toBe(a.peerId)
  })

  cases.all('t/1/x - reaches neither t/10/x nor t/1/xy nor t/1', async (rig) => {
    const [a, b] = await rig.pair()
    const near = new Collector()
    for (const pattern of ['t/10/x', 't/1/xy', 't/1', 't/1/x/y', 't/1/X']) {
      await b.subscribe(pattern, near.onBatch)
    }
    const got = await subscribed(b, 't/1/x', a, 't/1/x')
    await publishAll(a, 't/1/x', numbers(10))
    await received(got, 10)
    expect(near.batches).toBe(0)
  })

  cases.all('* - stands for exactly one level', async (rig) => {
    const [a, b] = await rig.pair()
    const got = await subscribed(b, 't/*/x', a, 't/1/x')
    for (const topic of ['t/x', 't/1/2/x', 't/1', 't/1/y', 't/7/x', 't/64/x']) {
      a.publish(topic, text(topic))
    }
    await received(got, 2)
    expect(inOrder(cases, got.texts())).toEqual(inOrder(cases, ['t/7/x', 't/64/x']))
  })

  cases.all('> - stands for one or more levels', async (rig) => {
    const [a, b] = await rig.pair()
    const got = await subscribed(b, 't/>', a, 't/0')
    for (const topic of ['t', 'tt/1', 't/1', 't/1/x', 't/1/x/deep/er']) {
      a.publish(topic, text(topic))
    }
    await received(got, 3)
    expect(got.texts()).toEqual(['t/1', 't/1/x', 't/1/x/deep/er'])
  })

  cases.all('overlapping subscriptions - each gets the message once', async (rig) => {
    const [a, b] = await rig.pair()
    const first = await subscribed(b, 't/1/x', a, 't/1/x')
    const second = await subscribed(b, 't/*/x', a, 't/1/x')
    const third = await subscribed(b, 't/>', a, 't/1/x')
    const twin = await subscribed(b, 't/1/x', a, 't/1/x')
    await publishAll(a, 't/1/x', numbers(5))
    for (const got of [first, second, third, twin]) {
      await received(got, 5)
      expect(got.texts()).toEqual(['0', '1', '2', '3', '4'])
    }
  })

  cases.all('names outside ASCII - survive', async (rig) => {
    const [a, b] = await rig.pair()
    const topic = 't/1/Straße-東京-🚗'
    const got = await subscribed(b, 't/1/*', a, topic)
    a.publish(topic, text('x'))
    await received(got, 1)
    expect(got.messages[0]!.topic).toBe(topic)
  })

  cases.all('malformed topics and patterns - are RangeErrors', async (rig) => {
    const a = await rig.open()
    for (const topic of ['', '/', 'a/', '/a', 'a//b', 'a b', 'a/*', '>', 'x'.repeat(513)]) {
      expect(() => a.publish(topic, text('x'))).toThrow(RangeError)
    }
    for (const pattern of ['', 'a/', 'a/>/b', 'a*', 'a//b']) {
      await expect(a.subscribe(pattern, () => {})).rejects.toThrow(RangeError)
    }
  })

  cases.links('a publisher - does not receive what it publishes itself', async (rig) => {
    const [a, b] = await rig.pair()
    const own = new Collector()
    await a.subscribe('>', own.onBatch)
    const got = await subscribed(b, 't/>', a, 't/1')
    a.publish('t/1', text('x'))
    await received(got, 1)
    expect(a.publish('t/1', text('x'), a.peerId)).toBe(false)
    expect(own.batches).toBe(0)
    await arrives(b, 't/1', own)
  })

  cases.all('many topics - each message keeps its own', async (rig) => {
    const [a, b] = await rig.pair()
    const got = await subscribed(b, 't/>', a, 't/0/x')
    const topics = Array.from(
      { length: 2000 },
      (_, index) => `t/${index % 640}/stream-${index % 7}`,
    )
    for (const topic of topics) if (!a.publish(topic, text(topic))) await a.flush()
    await received(got, topics.length)
    expect(got.messages.every(({ topic, bytes }) => topic === bytes.toString())).toBe(true)
    expect(inOrder(cases, got.texts())).toEqual(inOrder(cases, topics))
  })
}

/** What came on several topics: a link keeps their order too, a broker only the order of each. */
function inOrder({ capabilities }: Cases, texts: readonly string[]): readonly string[] {
  return capabilities.ordered && !capabilities.brokered ? texts : texts.toSorted()
}
