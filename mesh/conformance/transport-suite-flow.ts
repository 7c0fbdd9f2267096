// Flow control: what happens when a receiver is slow, and that it stays its own trouble. Part of transport-suite.ts.
import { expect } from 'vitest'
import type { Message, Transport } from '../transport.ts'
import { eventually } from './eventually.ts'
import type { Cases } from './transport-rig.ts'
import {
  Collector,
  directedTo,
  isProbe,
  linkedBoth,
  numbers,
  publishAll,
  received,
  subscribed,
  text,
} from './transport-rig.ts'

const KIB = 1024
const MIB = 1024 * KIB

/** A subscription whose handler takes nothing more until `release`, from the first message on. */
class SlowSubscriber {
  readonly collector = new Collector()
  calls = 0
  /** The most handler calls that were pending at a time. */
  pendingMax = 0
  private pending = 0
  private readonly gate = Promise.withResolvers<void>()
  private isOpen = false

  async subscribe(transport: Transport, pattern: string): Promise<void> {
    await transport.subscribe(pattern, (batch) => this.onBatch(batch))
  }

  release(): void {
    this.isOpen = true
    this.gate.resolve()
  }

  private async onBatch(batch: readonly Message[]): Promise<void> {
    this.collector.onBatch(batch)
    if (batch.every(isProbe)) return
    this.calls += 1
    this.pending += 1
    this.pendingMax = Math.max(this.pendingMax, this.pending)
    // Also when open: a handler that is quick but not synchronous.
    await (this.isOpen ? Promise.resolve() : this.gate.promise)
    this.pending -= 1
  }
}

/** A slow subscriber at `to` that is known to `from`, and holds its first message. */
async function stuck(to: Transport, from: Transport, topic: string): Promise<SlowSubscriber> {
  const slow = new SlowSubscriber()
  await slow.subscribe(to, topic)
  await subscribed(to, topic, from, topic)
  from.publish(topic, text('first'))
  await eventually(() => slow.calls > 0, { what: 'the slow subscriber to have its first message' })
  return slow
}

/** Lets what may go, go: a queue is then filled by what the receiver does not take. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export function flowCases(cases: Cases): void {
  cases.all('high-water mark - publish() turns false, flush() ends the wait', async (rig) => {
    const [a, b] = await rig.pair({ linkQueueBytes: 4 * MIB })
    const got = await subscribed(b, 't/1/x', a, 't/1/x')
    const bytes = Buffer.alloc(64 * KIB)
    let sent = 0
    let refusals = 0
    while (refusals < 3 && sent < 20_000) {
      sent += 1
      if (!a.publish('t/1/x', bytes, directedTo(b))) {
        refusals += 1
        await a.flush()
        if (!cases.capabilities.brokered) expect(a.queuedBytes()).toBe(0)
      }
    }
    expect(refusals).toBe(3)
    await received(got, sent)
    expect(a.counters().droppedMessages).toBe(0)
  })

  cases.all('flush() - an aborted signal rejects it', async (rig) => {
    const a = await rig.open()
    const reason = new Error('enough')
    await expect(a.flush(AbortSignal.abort(reason))).rejects.toBe(reason)
  })

  cases.all(
    'back-pressure - a handler is not called again until its promise settles',
    async (rig) => {
      const [a, b] = await rig.pair()
      const slow = await stuck(b, a, 't/1/x')
      await publishAll(a, 't/1/x', numbers(1000))
      await a.flush()
      expect(slow.calls).toBe(1)
      slow.release()
      await received(slow.collector, 1001)
      expect(slow.pendingMax).toBe(1)
      expect(slow.collector.texts().slice(1)).toEqual([...numbers(1000)].map(String))
    },
  )

  cases.links('slow subscriber - live drops its oldest, bounded and counted', async (rig) => {
    const [a, b] = await rig.peerPair({ linkQueueBytes: MIB })
    const slow = await stuck(b, a, 't/1/x')
    const total = 4000
    const bytes = Buffer.alloc(16 * KIB)
    for (let index = 0; index < total; index += 1) {
      bytes.writeUInt32LE(index)
      a.publish('t/1/x', Buffer.from(bytes))
      expect(a.queuedBytes()).toBeLessThanOrEqual(MIB)
      if (index % 50 === 0) await turn()
    }
    const { droppedMessages, sentBytes } = a.counters()
    expect(droppedMessages).toBeGreaterThan(0)
    // 62 MiB were published; the receiver was sent no more than a window.
    expect(sentBytes).toBeLessThan(8 * MIB)
    slow.release()
    const last = (): number | undefined => slow.collector.messages.at(-1)?.bytes.readUInt32LE()
    await eventually(() => last() === total - 1, { what: 'the newest message' })
    expect(slow.collector.messages.length - 1 + droppedMessages).toBe(total)
    const order = slow.collector.messages.slice(1).map((message) => message.bytes.readUInt32LE())
    expect(order).toEqual([...order].sort((x, y) => x - y))
  })

  cases.links('slow subscriber - directed messages within the limit all arrive', async (rig) => {
    const [a, b] = await rig.peerPair()
    const slow = await stuck(b, a, 't/1/x')
    const bytes = Buffer.alloc(10 * KIB)
    let sent = 0
    for (; sent < 1200; sent += 1) a.publish('t/1/x', bytes, b.peerId)
    await eventually(() => a.queuedBytes() > 4 * MIB, { what: 'the queue to hold the rest' })
    expect(a.counters().droppedMessages).toBe(0)
    slow.release()
    await received(slow.collector, sent + 1)
    expect(a.queuedBytes()).toBe(0)
  })

  cases.links(
    'slow subscriber - directed beyond the limit is refused, the oldest stay',
    async (rig) => {
      const [a, b] = await rig.peerPair({ linkQueueBytes: MIB })
      const slow = await stuck(b, a, 't/1/x')
      const bytes = Buffer.alloc(16 * KIB)
      const total = 1000
      let refused = 0
      for (let index = 0; index < total; index += 1) {
        bytes.writeUInt32LE(index)
        const before = a.counters().droppedMessages
        const hasRoom = a.publish('t/1/x', Buffer.from(bytes), b.peerId)
        if (a.counters().droppedMessages > before) {
          expect(hasRoom).toBe(false)
          refused += 1
        }
        await Promise.resolve()
        if (index % 10 === 0) await eventually(() => true)
      }
      expect(refused).toBeGreaterThan(0)
      expect(a.queuedBytes()).toBeLessThanOrEqual(MIB)
      slow.release()
      await received(slow.collector, 1 + total - refused)
      const order = slow.collector.messages.slice(1).map((message) => message.bytes.readUInt32LE())
      expect(order).toEqual(Array.from({ length: total - refused }, (_, index) => index))
    },
  )

  cases.links('slow subscriber - directed messages push out live ones', async (rig) => {
    const [a, b] = await rig.peerPair({ linkQueueBytes: MIB })
    const slow = await stuck(b, a, 't/1/x')
    const bytes = Buffer.alloc(16 * KIB, 1)
    for (let index = 0; index < 2000; index += 1) {
      a.publish('t/1/x', bytes)
      if (index % 50 === 0) await turn()
    }
    for (let index = 0; index < 20; index += 1)
      a.publish('t/1/x', Buffer.alloc(16 * KIB, 2), b.peerId)
    slow.release()
    const directed = (): number =>
      slow.collector.messages.filter((message) => message.bytes[0] === 2).length
    await eventually(() => directed() === 20, { what: 'the directed messages' })
  })

  cases.links('slow subscriber - does not delay another one', async (rig) => {
    const [a, b] = await rig.peerPair({ linkQueueBytes: MIB })
    const c = await rig.openPeer()
    await rig.connect(a, c)
    const slow = await stuck(b, a, 't/1/x')
    const got = await subscribed(c, 't/1/x', a, 't/1/x')
    got.messages.length = 0
    const total = 3000
    await publishAll(
      a,
      't/1/x',
      Array.from({ length: total }, () => Buffer.alloc(4 * KIB)),
    )
    await a.flush()
    await received(got, total)
    expect(slow.calls).toBe(1)
    expect(a.counters().droppedMessages).toBeGreaterThan(0)
    slow.release()
  })

  cases.links('slow subscriber - does not hold flush(), and keeps its bytes', async (rig) => {
    const [a, b] = await rig.peerPair({ linkQueueBytes: 2 * MIB })
    const slow = await stuck(b, a, 't/1/x')
    const bytes = Buffer.alloc(64 * KIB, 1)
    for (let index = 0; index < 80; index += 1) {
      a.publish('t/1/x', bytes)
      if (index % 3 === 0) await turn()
    }
    await a.flush()
    expect(a.queuedBytes()).toBeGreaterThan(0)
    bytes.fill(9)
    slow.release()
    await eventually(() => a.queuedBytes() === 0, { what: 'the queue to empty' })
    await eventually(() => slow.collector.messages.length > 70, { what: 'what was queued' })
    expect(slow.collector.messages.slice(1).every((message) => message.bytes[5] === 1)).toBe(true)
  })

  cases.links('slow subscriber - one that lets go of the link frees the queue', async (rig) => {
    const [a, b] = await rig.peerPair({ linkQueueBytes: MIB })
    await stuck(b, a, 't/1/x')
    const bytes = Buffer.alloc(64 * KIB)
    for (let index = 0; index < 200; index += 1) {
      a.publish('t/1/x', bytes, b.peerId)
      await turn()
    }
    expect(a.queuedBytes()).toBeGreaterThan(0)
    await b.close()
    await eventually(() => a.queuedBytes() === 0, { what: 'the queue to be dropped' })
    await a.flush()
  })

  cases.links(
    'slow subscriber - gets what it had received of a publisher that left',
    async (rig) => {
      const [a, b] = await rig.peerPair()
      const slow = await stuck(b, a, 't/1/x')
      await publishAll(a, 't/1/x', numbers(1000), b.peerId)
      await a.close()
      await eventually(() => b.linked().size === 0, { what: 'the publisher to be gone' })
      expect(slow.calls).toBe(1)
      slow.release()
      await received(slow.collector, 1001)
      expect(slow.collector.messages.every(({ from }) => from === a.peerId)).toBe(true)
      expect(b.counters().droppedMessages).toBe(0)
    },
  )

  cases.all('a handler that throws or rejects - is counted and called again', async (rig) => {
    const [a, b] = await rig.pair()
    const got = await subscribed(b, 't/1/x', a, 't/1/x')
    await b.subscribe('t/1/x', (batch) => {
      if (!batch.every(isProbe)) throw new Error('handler throws, on purpose')
    })
    await b.subscribe('t/1/x', (batch) =>
      batch.every(isProbe) ? undefined : Promise.reject(new Error('handler rejects, on purpose')),
    )
    for (let count = 1; count <= 10; count += 1) {
      a.publish('t/1/x', text(count))
      await received(got, count)
    }
    if (cases.capabilities.replays) return
    await eventually(() => b.counters().droppedMessages === 20, { what: 'both handlers counted' })
  })

  cases.links('many links - 50 peers get the broadcast and answer', async (rig) => {
    const center = await rig.openPeer()
    const answers = new Collector()
    await center.subscribe('answer', answers.onBatch, 'directed')
    const others = await Promise.all(Array.from({ length: 50 }, () => rig.openPeer()))
    const got = await Promise.all(
      others.map(async (peer) => {
        peer.link(center.endpoint!)
        await linkedBoth(peer, center)
        return subscribed(peer, 't/>', center, 't/1', (message) => {
          peer.publish('answer', message.bytes, message.from)
        })
      }),
    )
    expect(center.linked().size).toBe(50)
    await publishAll(center, 't/1', numbers(100))
    for (const collector of got) await received(collector, 100)
    await received(answers, 5000)
    expect(new Set(answers.messages.map(({ from }) => from)).size).toBe(50)
  })
}
