import { describe, expect, it } from 'vitest'
import { Collector, MESH, numbers } from '../conformance/transport-rig.ts'
import { FakeClock } from '../fake-clock.ts'
import type { PeerId } from '../names.ts'
import { SeededRandom } from '../seeded-random.ts'
import type { LinkEvent } from '../transport.ts'
import type { NetworkFaults } from './memory-network.ts'
import { createMemoryNetwork } from './memory-network.ts'

async function linkedPair(faults: Partial<NetworkFaults> = {}, seed = 1) {
  const clock = new FakeClock()
  const network = createMemoryNetwork({ clock, random: new SeededRandom(seed) })
  const a = network.transport({ meshId: MESH, peerId: 'aaaaaaaaaaaaaaaa' as PeerId })
  const b = network.transport({ meshId: MESH, peerId: 'bbbbbbbbbbbbbbbb' as PeerId })
  await a.open()
  await b.open()
  const events: LinkEvent[] = []
  a.onLink((event) => events.push(event))
  const got = new Collector()
  await b.subscribe('t/>', got.onBatch)
  a.link(b.endpoint!)
  await clock.advance(10)
  expect([...a.linked()]).toEqual([b.peerId])
  Object.assign(network.faults, faults)
  const close = async (): Promise<void> => {
    const closed = Promise.all([a.close(), b.close()])
    await clock.advance(5000)
    await closed
  }
  return { clock, network, a, b, got, events, close }
}

type Pair = Awaited<ReturnType<typeof linkedPair>>

/** Each in a pack of its own, a millisecond apart. */
async function publishSlowly({ a, clock }: Pair, count: number): Promise<void> {
  for (const bytes of numbers(count)) {
    a.publish('t/1', bytes)
    await clock.advance(1)
  }
  await clock.advance(500)
}

const inOrder = (values: readonly string[]): boolean =>
  values.every((value, index) => index === 0 || Number(values[index - 1]) < Number(value))

describe('memory network', () => {
  it('loss - loses about that part, in order, and the link lives', async () => {
    const pair = await linkedPair({ loss: 0.3 })
    await publishSlowly(pair, 500)
    const { length } = pair.got.messages
    expect(length).toBeGreaterThan(300)
    expect(length).toBeLessThan(400)
    expect(inOrder(pair.got.texts())).toBe(true)
    expect(pair.network.counters.lost).toBeGreaterThan(100)
    await pair.close()
  })

  it('loss - never eats up the credit of a link', async () => {
    const pair = await linkedPair({ loss: 0.5 })
    const bytes = Buffer.alloc(200 * 1024)
    // 60 MiB through a window of 4 MiB.
    for (let count = 0; count < 300; count += 1) {
      pair.a.publish('t/1', bytes)
      await pair.clock.advance(20)
    }
    pair.network.faults.loss = 0
    await pair.clock.advance(3000)
    expect(pair.a.queuedBytes()).toBe(0)
    const before = pair.got.messages.length
    pair.a.publish('t/1', bytes)
    await pair.clock.advance(10)
    expect(pair.got.messages.length).toBe(before + 1)
    await pair.close()
  })

  it('loss - lost credit is given again, also while both sides send', async () => {
    const pair = await linkedPair({ loss: 0.5 })
    const { a, b, clock, network } = pair
    const back = new Collector()
    await a.subscribe('t/>', back.onBatch)
    await clock.advance(2000)
    const bytes = Buffer.alloc(200 * 1024)
    for (let count = 0; count < 300; count += 1) {
      a.publish('t/1', bytes)
      b.publish('t/1', bytes)
      await clock.advance(20)
    }
    network.faults.loss = 0
    await clock.advance(3000)
    expect([a.queuedBytes(), b.queuedBytes()]).toEqual([0, 0])
    expect(pair.got.messages.length).toBeGreaterThan(50)
    expect(back.messages.length).toBeGreaterThan(50)
    await pair.close()
  })

  it('duplication - delivers twice, in order', async () => {
    const pair = await linkedPair({ duplication: 1 })
    await publishSlowly(pair, 50)
    expect(pair.got.texts()).toEqual(
      [...numbers(50)].flatMap((bytes) => [String(bytes), String(bytes)]),
    )
    await pair.close()
  })

  it('delay - is kept, and keeps the order', async () => {
    const pair = await linkedPair({ delayMsMin: 50, delayMsMax: 150 })
    pair.a.publish('t/1', Buffer.from('0'))
    await pair.clock.advance(49)
    expect(pair.got.messages.length).toBe(0)
    await pair.clock.advance(101)
    expect(pair.got.messages.length).toBe(1)
    pair.got.messages.length = 0
    await publishSlowly(pair, 200)
    expect(pair.got.messages.length).toBe(200)
    expect(inOrder(pair.got.texts())).toBe(true)
    await pair.close()
  })

  it('reordering - delivers all, not in order, and is declared', async () => {
    const pair = await linkedPair({ delayMsMin: 0, delayMsMax: 40, reordering: 0.5 })
    expect(pair.a.capabilities.ordered).toBe(false)
    await publishSlowly(pair, 200)
    expect(pair.got.messages.length).toBe(200)
    expect(inOrder(pair.got.texts())).toBe(false)
    await pair.close()
  })

  it('partition - is noticed after three seconds of silence, heal() mends it', async () => {
    const pair = await linkedPair()
    const { a, b, clock, network, events } = pair
    network.partition(a.peerId, b.peerId)
    await clock.advance(1900)
    expect(a.linked().size).toBe(1)
    await clock.advance(2600)
    expect([a.linked().size, b.linked().size]).toEqual([0, 0])
    a.publish('t/1', Buffer.from('lost'))
    await clock.advance(20_000)
    network.heal()
    await clock.advance(3000)
    expect([a.linked().size, b.linked().size]).toEqual([1, 1])
    a.publish('t/1', Buffer.from('works'))
    await clock.advance(1)
    expect(pair.got.texts()).toEqual(['works'])
    expect(events.map(({ up }) => up)).toEqual([true, false, true])
    await pair.close()
  })

  it('cut - is noticed at once and redialled', async () => {
    const pair = await linkedPair()
    pair.network.cut(pair.a.peerId, pair.b.peerId)
    expect(pair.a.linked().size).toBe(0)
    await pair.clock.advance(110)
    expect(pair.a.linked().size).toBe(1)
    await pair.close()
  })

  it('crash - closes its links without a goodbye', async () => {
    const pair = await linkedPair()
    await pair.network.crash(pair.b.peerId)
    await pair.clock.advance(1)
    expect(pair.a.linked().size).toBe(0)
    expect(() => pair.b.publish('t/1', Buffer.from('x'))).toThrow(
      expect.objectContaining({ code: 'MESH_TRANSPORT_CLOSED' }),
    )
    await pair.close()
  })

  it('one seed - one run, to the last counter', async () => {
    const run = async (seed: number): Promise<unknown> => {
      const faults = { loss: 0.1, duplication: 0.1, reordering: 0.2, delayMsMin: 1, delayMsMax: 30 }
      const pair = await linkedPair(faults, seed)
      await publishSlowly(pair, 300)
      pair.network.cut(pair.a.peerId, pair.b.peerId)
      await publishSlowly(pair, 300)
      await pair.close()
      return {
        got: pair.got.texts(),
        network: { ...pair.network.counters },
        a: pair.a.counters(),
        b: pair.b.counters(),
      }
    }
    const first = await run(42)
    expect(await run(42)).toEqual(first)
    expect(await run(43)).not.toEqual(first)
  })

  it('a process that was held up - does not take its own absence for silence', async () => {
    const pair = await linkedPair()
    const { clock, events } = pair
    // Both fall asleep: time passes, no timer runs, then everything is due at once.
    const asleep = clock as unknown as { elapsedMs: number }
    asleep.elapsedMs += 60_000
    await clock.advance(4000)
    expect(events.map(({ up }) => up)).toEqual([true])
    await pair.close()
  })
})
