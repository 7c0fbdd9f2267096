// Publishers with a disk outbox that die (issue 3, "Shown by" 4): killed while no store is up, and at
// 100 seeded steps between the write of a sample and the last ack. Whatever publish() had accepted,
// which each child wrote down before it did anything else, must be stored, and stored once.
import { describe, expect, test } from 'vitest'
import { eventually } from '../mesh/conformance/eventually.ts'
import { OutboxLog, systemClock, type Session } from '../mesh/index.ts'
import { openSession } from '../nodes/index.ts'
import { SeededRandom } from '../mesh/seeded-random.ts'
import { CRASH_KINDS, type CrashPoint } from './harness/crash-point.ts'
import { createMesh, type TestMesh } from './harness/mesh.ts'
import { OUTBOX_STREAM, OutboxPublisher } from './harness/outbox-publisher.ts'

const SEED = 20_251
const ROUNDS = 100
/** Children at once: two cores, and each waits for fdatasync and acks for most of its life. */
const ABREAST = 4
/** More than a child ever gets to before its step comes. */
const COUNT_MAX = 100_000

/** Numbers stored, by publisher: sources are named `<publisher>` or `<publisher>.<n>`. */
async function storedNumbers(mesh: TestMesh): Promise<Map<string, number[]>> {
  const { rows, coverage } = await mesh.ask({ kind: 'range', stream: OUTBOX_STREAM })
  expect(coverage).toMatchObject({ complete: true, reasons: [] })
  const stored = new Map<string, number[]>()
  for (const { source, fields } of rows) {
    const name = source.split('.')[0]!
    const numbers = stored.get(name) ?? []
    numbers.push(fields['n'] as number)
    stored.set(name, numbers)
  }
  return stored
}

/** A sample may have been written by a life that was killed before it could say so: one for each. */
function expectStoredOnce(
  publisher: OutboxPublisher,
  stored: readonly number[],
  lives: number,
): void {
  const { name } = publisher
  const distinct = new Set(stored)
  expect({ name, twice: stored.length - distinct.size }).toEqual({ name, twice: 0 })
  const accepted = publisher.accepted()
  expect({ name, missing: accepted.filter((n) => !distinct.has(n)) }).toEqual({ name, missing: [] })
  expect(distinct.size - accepted.length).toBeLessThanOrEqual(lives)
}

/** Each epoch, of a life that was killed too, has all its sequences up to its end frame. */
async function expectAllEnded(mesh: TestMesh): Promise<void> {
  const { lanes } = await mesh.stores[0]!.digest({ stream: OUTBOX_STREAM })
  expect(lanes.length).toBeGreaterThan(0)
  expect(lanes.filter(({ held, ended }) => held.join() !== `1,${ended}`)).toEqual([])
}

describe('a publisher with a disk outbox', () => {
  test('killed while no store is up - all it accepted is stored once when both are back', async ({
    onTestFinished,
  }) => {
    const mesh = createMesh(onTestFinished)
    await mesh.startStores(2)
    const sources = ['p.1', 'p.2', 'p.3', 'p.4', 'p.5']
    const publisher = new OutboxPublisher(mesh, 'p', sources, SEED)
    const first = publisher.start({ from: 0, count: 200 })
    await eventually(() => publisher.said.has('stored'), {
      what: 'the stores take its samples',
      deadlineMs: 30_000,
    })
    await first.exited

    // A life without any store, from its first sample to its death.
    await Promise.all(mesh.stores.map((store) => store.kill()))
    const second = publisher.start({ from: 200, count: 3_000 })
    await eventually(() => publisher.said.has('published'), {
      what: '3,000 samples are accepted',
      deadlineMs: 2e4,
    })
    expect(publisher.accepted()).toHaveLength(3_200)
    expect(publisher.said.has('stored')).toBe(false)
    await second.kill()

    await Promise.all(mesh.stores.map((store) => store.start()))
    const third = publisher.start({ from: 3_200, count: 200 })
    const { code } = await third.exited
    expect({ code, said: third.said }).toEqual({ code: 0, said: '' })
    const stored = await storedNumbers(mesh)
    expect(publisher.accepted()).toHaveLength(3_400)
    expectStoredOnce(publisher, stored.get('p') ?? [], 0)
    await expectAllEnded(mesh)
  }, 90_000)

  test(`killed at ${ROUNDS} steps between write, seal, send and ack - all it accepted is stored once (seed ${SEED})`, async ({
    onTestFinished,
  }) => {
    const mesh = createMesh(onTestFinished)
    await mesh.startStores(2)
    const random = new SeededRandom(SEED)
    const rounds = Array.from({ length: ROUNDS }, (_, round) => ({
      publisher: new OutboxPublisher(mesh, `r${round}`, [`r${round}`], SEED + round),
      // The first life dies, and of every fourth publisher the one that recovers dies too.
      crashes: Array.from({ length: round % 4 === 3 ? 2 : 1 }, () => crashPoint(random)),
    }))
    const died = new Map<string, number>()
    await abreast(ABREAST, rounds, async ({ publisher, crashes }) => {
      for (const [life, crash] of crashes.entries()) {
        await liveUntil(publisher, life, crash)
        died.set(crash.kind, (died.get(crash.kind) ?? 0) + 1)
      }
    })
    expect([...died.keys()].sort()).toEqual([...CRASH_KINDS].sort())

    // The last life of each is in this process: it takes up the outbox, delivers, and ends.
    await using session = await openSession(mesh.config(), {})
    await abreast(ABREAST, rounds, ({ publisher }) => drain(session, publisher.directory))
    const stored = await storedNumbers(mesh)
    await expectAllEnded(mesh)
    let samples = 0
    for (const { publisher, crashes } of rounds) {
      expectStoredOnce(publisher, stored.get(publisher.name) ?? [], crashes.length)
      samples += publisher.accepted().length
    }
    const kinds = [...died].map(([kind, count]) => `${kind} ${count}`).sort()
    console.log(`${samples} samples accepted by publishers that died at: ${kinds.join(', ')}`)
  }, 150_000)
})

function crashPoint(random: SeededRandom): CrashPoint {
  const kind = CRASH_KINDS[Math.floor(random.next() * CRASH_KINDS.length)]!
  // Mostly early, where lanes are new and links come up; some after a while of steady work.
  return { kind, at: 1 + Math.floor(random.next() ** 2 * 60) }
}

/** Runs one life of a publisher, which ends by its own hand. */
async function liveUntil(
  publisher: OutboxPublisher,
  life: number,
  crash: CrashPoint,
): Promise<void> {
  const program = publisher.start({ from: life * COUNT_MAX, count: COUNT_MAX, crash })
  const { signal } = await program.exited
  expect({ crash, signal, said: program.said }).toEqual({ crash, signal: 'SIGKILL', said: '' })
}

async function drain(session: Session, directory: string): Promise<void> {
  const { id: meshId } = session.mesh
  const outboxLog = await OutboxLog.open({ directory, meshId, clock: systemClock })
  const publisher = await session.publisher({ outboxLog })
  await publisher.stored()
  expect(await publisher.close({ drainMs: 10_000 })).toBe(0)
}

/** Works on all items, so many at a time. */
async function abreast<T>(
  width: number,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values()
  const worker = async (): Promise<void> => {
    for (const item of queue) await work(item)
  }
  await Promise.all(Array.from({ length: width }, worker))
}
