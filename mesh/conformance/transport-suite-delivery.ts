// Delivery: order, sizes, who gets what, and what is counted. Part of transport-suite.ts.
import { expect } from 'vitest'
import type { PeerId } from '../names.ts'
import type { Cases } from './transport-rig.ts'
import {
  Collector,
  arrives,
  directedTo,
  numbers,
  publishAll,
  received,
  subscribed,
  text,
} from './transport-rig.ts'

const MIB = 1024 * 1024

/** Bytes that differ everywhere, so that a shifted or torn copy is seen. */
function patterned(length: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  for (let index = 0; index < length; index += 1)
    bytes[index] = (index * 31 + (index >> 8) + seed) & 255
  return bytes
}

export function deliveryCases(cases: Cases): void {
  cases.ordered('order - the messages of a publisher arrive in the order sent', async (rig) => {
    const [a, b] = await rig.pair()
    const got = await subscribed(b, 't/1/x', a, 't/1/x')
    await publishAll(a, 't/1/x', numbers(20_000))
    await received(got, 20_000)
    expect(got.texts().every((value, index) => value === String(index))).toBe(true)
  })

  cases.ordered('order - holds for each of two publishers', async (rig) => {
    const [a, b] = await rig.pair()
    const c = await rig.open()
    await rig.connect(c, b)
    const got = await subscribed(b, 't/1/x', a, 't/1/x')
    await arrives(c, 't/1/x', got)
    await Promise.all([
      publishAll(a, 't/1/x', numbers(3000, 'a')),
      publishAll(c, 't/1/x', numbers(3000, 'c')),
    ])
    await received(got, 6000)
    for (const prefix of ['a', 'c']) {
      const own = got.texts().filter((value) => value.startsWith(prefix))
      expect(own).toEqual([...numbers(3000, prefix)].map(String))
    }
  })

  cases.all('sizes - empty, small, 8 MiB and the largest arrive intact', async (rig) => {
    const [a, b] = await rig.pair()
    const got = await subscribed(b, 't/1/x', a, 't/1/x')
    const most = cases.capabilities.messageBytesMax
    const sizes = [0, 1, 127, 128, 129, 65_535, 65_536, 300_000, 8 * MIB, most, 0, 5].filter(
      (size) => size <= most,
    )
    for (const size of sizes) {
      if (!a.publish('t/1/x', patterned(size, size & 255), directedTo(b))) await a.flush()
    }
    await received(got, sizes.length)
    expect(got.messages.map(({ bytes }) => bytes.length)).toEqual(sizes)
    for (const { bytes } of got.messages) {
      expect(bytes.equals(patterned(bytes.length, bytes.length & 255))).toBe(true)
    }
  })

  cases.all('a message too large - is refused with MESH_MESSAGE_TOO_LARGE', async (rig) => {
    const [a, b] = await rig.pair()
    const got = await subscribed(b, 't/1/x', a, 't/1/x')
    const bytes = Buffer.alloc(cases.capabilities.messageBytesMax + 1)
    const refused = expect.objectContaining({ code: 'MESH_MESSAGE_TOO_LARGE' })
    expect(() => a.publish('t/1/x', bytes)).toThrow(refused)
    if (!cases.capabilities.brokered) {
      expect(() => a.publish('t/1/x', bytes, b.peerId)).toThrow(refused)
    }
    a.publish('t/1/x', text('after'))
    await received(got, 1)
    expect(got.texts()).toEqual(['after'])
  })

  cases.all('bytes - belong to the publisher again after flush()', async (rig) => {
    const [a, b] = await rig.pair()
    const got = await subscribed(b, 't/1/x', a, 't/1/x')
    const bytes = Buffer.alloc(20_000)
    for (let round = 0; round < 50; round += 1) {
      bytes.fill(round)
      a.publish('t/1/x', bytes)
      await a.flush()
      bytes.fill(255)
    }
    await received(got, 50)
    expect(
      got.messages.every((message, round) => message.bytes.every((byte) => byte === round)),
    ).toBe(true)
  })

  cases.links('directed - reaches that peer only, in both scopes', async (rig) => {
    const [a, b] = await rig.pair()
    const c = await rig.open()
    await rig.connect(a, c)
    const atB = await subscribed(b, 't/>', a, 't/1/x')
    const atC = await subscribed(c, 't/>', a, 't/1/x')
    const directedAtB = new Collector()
    await b.subscribe('t/1/*', directedAtB.onBatch, 'directed')
    await publishAll(a, 't/1/x', numbers(100), b.peerId)
    a.publish('t/1/x', text('all'))
    await received(atB, 101)
    await received(atC, 1)
    expect(directedAtB.texts()).toEqual([...numbers(100)].map(String))
    expect(atC.texts()).toEqual(['all'])
  })

  cases.links('directed scope - does not ask publishers for anything', async (rig) => {
    const [a, b] = await rig.pair()
    const directed = new Collector()
    await b.subscribe('d/>', directed.onBatch, 'directed')
    const live = await subscribed(b, 't/x', a, 't/x')
    const before = a.counters().sentMessages
    a.publish('d/1', text('undirected'))
    a.publish('d/1', text('directed'), b.peerId)
    a.publish('t/x', text('live'))
    await received(directed, 1)
    await received(live, 1)
    expect(directed.texts()).toEqual(['directed'])
    expect(a.counters().sentMessages - before).toBe(2)
  })

  cases.links('directed - an answer to `from` comes back', async (rig) => {
    const [a, b] = await rig.pair()
    const answers = new Collector()
    await a.subscribe('a/*', answers.onBatch, 'directed')
    await subscribed(b, 't/x', a, 't/x', ({ bytes, from }) => {
      b.publish(`a/${from}`, bytes, from)
    })
    await publishAll(a, 't/x', numbers(500))
    await received(answers, 500)
    expect(answers.texts()).toEqual([...numbers(500)].map(String))
    expect(answers.messages.every(({ from }) => from === b.peerId)).toBe(true)
  })

  cases.links('directed - to a peer without a link is refused and counted', async (rig) => {
    const a = await rig.open()
    const before = a.counters()
    expect(a.publish('t/1/x', text('abc'), 'feedfeedfeedfeed' as PeerId)).toBe(false)
    await a.flush()
    expect(a.counters().droppedMessages - before.droppedMessages).toBe(1)
    expect(a.counters().droppedBytes - before.droppedBytes).toBe(3)
  })

  cases.all('nobody subscribed - publish() is true and nothing is kept', async (rig) => {
    const [a] = await rig.pair()
    if (cases.capabilities.brokered) return
    for (const bytes of numbers(1000)) expect(a.publish('t/none', bytes)).toBe(true)
    expect(a.queuedBytes()).toBe(0)
  })

  cases.all('counters - sent and received agree', async (rig) => {
    const [a, b] = await rig.pair()
    const got = await subscribed(b, 't/1/x', a, 't/1/x')
    const sent = a.counters()
    const had = b.counters()
    await publishAll(
      a,
      't/1/x',
      Array.from({ length: 100 }, () => Buffer.alloc(50)),
    )
    await received(got, 100)
    expect(a.counters().sentMessages - sent.sentMessages).toBe(100)
    expect(a.counters().sentBytes - sent.sentBytes).toBe(5000)
    // Late probes of the setup may still have been on their way.
    expect(b.counters().receivedMessages - had.receivedMessages).toBeGreaterThanOrEqual(100)
    expect(b.counters().receivedBytes - had.receivedBytes).toBeGreaterThanOrEqual(5000)
    expect(b.counters().droppedMessages).toBe(0)
  })

  cases.all('a slow trickle - is not held back', async (rig) => {
    const [a, b] = await rig.pair()
    const got = await subscribed(b, 't/1/x', a, 't/1/x')
    for (let count = 1; count <= 20; count += 1) {
      a.publish('t/1/x', text(count))
      await received(got, count)
    }
    expect(got.messages.length).toBe(20)
  })
}
