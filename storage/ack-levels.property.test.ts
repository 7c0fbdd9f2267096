// An ack says what the store has reached, never what it is about to: with a disk whose writes and syncs
// wait for the test, over links and from a broker.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ACK_LEVELS, IntervalSet, type AckLevel, type PeerId } from '../mesh/index.ts'
import type { Ack } from '../mesh/ack.ts'
import { MemoryStore } from './conformance/memory-store.ts'
import { testFrame, testRun } from './conformance/test-frames.ts'
import type { StoredFrame } from './frame-store.ts'
import { bytesOf, IngestWorld } from './conformance/test-ingest.ts'

const PUBLISHERS: Readonly<Record<AckLevel, PeerId>> = {
  received: 'a000000000000000' as PeerId,
  written: 'a111111111111111' as PeerId,
  synced: 'a222222222222222' as PeerId,
}

/** Lets one through each time it is opened. */
class Gate {
  private waiting: PromiseWithResolvers<void> | undefined

  async pass(): Promise<void> {
    this.waiting = Promise.withResolvers<void>()
    await this.waiting.promise
  }

  open(): void {
    this.waiting?.resolve()
    this.waiting = undefined
  }

  fail(): void {
    this.waiting?.reject(new Error('EIO'))
    this.waiting = undefined
  }
}

class HeldUpStore extends MemoryStore {
  readonly writes = new Gate()
  readonly syncs = new Gate()
  /** How far each frame has got, by sequence. What a failed sync leaves behind is cut off again. */
  readonly written = new Set<number>()
  readonly synced = new IntervalSet()

  override async append(frames: readonly StoredFrame[], onWritten?: () => void): Promise<void> {
    await this.writes.pass()
    for (const { frame } of frames) this.written.add(frame.sequence)
    onWritten?.()
    try {
      await this.syncs.pass()
    } catch (error) {
      for (const { frame } of frames) this.written.delete(frame.sequence)
      throw error
    }
    for (const { frame } of frames) this.synced.add(frame.sequence)
    await super.append(frames)
  }
}

interface Heard {
  readonly publisher: PeerId
  readonly level: AckLevel
  readonly sequences: readonly number[]
}

class World {
  readonly store = new HeldUpStore()
  readonly offered = new IntervalSet()
  readonly heard: Heard[] = []
  readonly intake: IngestWorld<HeldUpStore>

  constructor(kind: 'broker' | 'links') {
    const { store } = this
    this.intake = new IngestWorld({
      kind,
      store,
      onAck: (publisher, ack) => this.hear(publisher, ack),
    })
  }

  give(level: AckLevel, frames: readonly StoredFrame[]): void {
    for (const { frame } of frames) this.offered.add(frame.sequence)
    void this.intake.give(bytesOf(frames), level, PUBLISHERS[level]).catch(() => undefined)
  }

  settle(): Promise<void> {
    return this.intake.clock.advance(1)
  }

  levels(): AckLevel[] {
    return this.heard.map(({ level }) => level)
  }

  /** What that publisher may count as done. */
  doneFor(wanted: AckLevel): IntervalSet {
    const done = new IntervalSet()
    for (const { publisher, level, sequences } of this.heard) {
      if (publisher !== PUBLISHERS[wanted] || rank(level) < rank(wanted)) continue
      for (const sequence of sequences) done.add(sequence)
    }
    return done
  }

  private hear(publisher: PeerId, { level, lanes }: Ack): void {
    const { offered, store } = this
    const reached = { received: offered, written: store.written, synced: store.synced }[level]
    const sequences = lanes.flatMap(({ runs }) => [...sequencesOf(runs)])
    for (const sequence of sequences) {
      expect(reached.has(sequence), `${sequence} is ${level}`).toBe(true)
    }
    this.heard.push({ publisher, level, sequences })
  }
}

const rank = (level: AckLevel): number => ACK_LEVELS.indexOf(level)

function* sequencesOf(runs: readonly number[]): Generator<number> {
  for (let i = 0; i < runs.length; i += 2) {
    for (let sequence = runs[i]!; sequence <= runs[i + 1]!; sequence++) yield sequence
  }
}

describe.each(['links', 'broker'] as const)('acks over %s', (kind) => {
  test.each(ACK_LEVELS)('%s - comes when that is reached, and once', async (level) => {
    const world = new World(kind)
    await world.intake.ingest.start()
    const { store } = world
    world.give(level, testRun(3))
    await world.settle()
    expect(world.levels()).toEqual(level === 'received' ? ['received'] : [])
    store.writes.open()
    await world.settle()
    expect(world.levels()).toEqual(level === 'synced' ? [] : [level])
    store.syncs.open()
    await world.settle()
    expect(world.levels()).toEqual([level])
    expect(world.heard[0]!.sequences).toEqual([1, 2, 3])
  })

  test('a duplicate is acknowledged again, at the level its publisher wants', async () => {
    const world = new World(kind)
    await world.intake.ingest.start()
    world.give('synced', testRun(2))
    await world.settle()
    world.store.writes.open()
    await world.settle()
    world.store.syncs.open()
    await world.settle()
    for (const level of ACK_LEVELS) world.give(level, testRun(2))
    await world.settle()
    for (const level of ACK_LEVELS) expect([...world.doneFor(level).toRuns()]).toEqual([1, 2])
  })

  test('a name held with other bytes is a conflict at every level, and acknowledged at none', async () => {
    const conflicts: string[] = []
    const store = new MemoryStore()
    await store.append(testRun(1))
    const intake = new IngestWorld({
      kind,
      store,
      onAck: (publisher, ack) => {
        expect(ack.lanes).toEqual([])
        for (const { sequence } of ack.conflicts) conflicts.push(`${publisher} ${sequence}`)
      },
    })
    await intake.ingest.start()
    for (const level of ACK_LEVELS) {
      await intake.give(bytesOf([testFrame({ body: level })]), level, PUBLISHERS[level])
      await intake.writer.settled()
    }
    expect(conflicts).toEqual(ACK_LEVELS.map((level) => `${PUBLISHERS[level]} 1`))
  })
})

test('received - is not said of what is beyond the granted half of the budget', async () => {
  const frames = testRun(4)
  const budgetBytes = frames[0]!.frame.bytes.length * 4
  const store = new HeldUpStore()
  const heard: string[] = []
  const intake = new IngestWorld({
    kind: 'links',
    store,
    budgetBytes,
    onAck: (_, { level, lanes }) =>
      heard.push(...lanes.map(({ runs }) => `${level} ${runs.join('-')}`)),
  })
  await intake.ingest.start()
  await intake.give(bytesOf(frames), 'received')
  expect(heard).toEqual(['received 1-2'])
  await intake.clock.advance(1)
  store.writes.open()
  await intake.clock.advance(1)
  expect(heard).toEqual(['received 1-2', 'written 3-4'])
  store.syncs.open()
})

const step = fc.oneof(
  fc.record({
    do: fc.constant('give' as const),
    level: fc.constantFrom(...ACK_LEVELS),
    from: fc.integer({ min: 1, max: 20 }),
    count: fc.integer({ min: 1, max: 6 }),
  }),
  fc.record({ do: fc.constantFrom('write' as const, 'sync' as const) }),
  fc.record({ do: fc.constant('fail' as const) }),
)

test('whatever is offered, written, synced and failed - no ack is early, and all come in the end', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const world = new World('links')
      const { store, intake } = world
      await intake.ingest.start()
      const given = new Map<AckLevel, IntervalSet>(
        ACK_LEVELS.map((level) => [level, new IntervalSet()]),
      )
      for (const each of steps) {
        if (each.do === 'give') {
          world.give(each.level, testRun(each.count, { sequence: each.from }))
          for (let i = 0; i < each.count; i++) given.get(each.level)!.add(each.from + i)
        } else if (each.do === 'write') store.writes.open()
        else if (each.do === 'sync') store.syncs.open()
        else store.syncs.fail()
        await world.settle()
      }
      // Publishers repeat what they have not heard of; the disk is well again.
      await intake.clock.advance(1_000)
      for (const [level, sequences] of given) {
        for (const sequence of sequencesOf(sequences.toRuns())) {
          world.give(level, [testFrame({ sequence })])
        }
      }
      while (intake.writer.queuedBytes > 0) {
        store.writes.open()
        await world.settle()
        store.syncs.open()
        await world.settle()
      }
      for (const [level, sequences] of given) {
        expect(world.doneFor(level).toRuns()).toEqual(sequences.toRuns())
      }
      expect(world.store.synced.toRuns()).toEqual(world.offered.toRuns())
      await intake.ingest.stop()
    }),
    { numRuns: 200 },
  )
})
