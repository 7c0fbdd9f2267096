// One flipped bit in the outbox log of a publisher that was killed while no store was up: when it is back, it
// may lack what stood there, says that something is damaged, and everything else is stored, once, as it was
// published. What the outbox lost was never acknowledged.
import { readFileSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { eventually } from '../../mesh/conformance/eventually.ts'
import { systemClock } from '../../mesh/index.ts'
import { OUTBOX_STREAM, OutboxPublisher } from '../harness/outbox-publisher.ts'
import { filesOf } from './disk-contents.ts'
import type { Fault, FaultOptions, FaultOutcome } from './fault.ts'
import { Rig } from './rig.ts'

const SAMPLES = 2_000
const SOURCES = ['flip.1', 'flip.2', 'flip.3']
/** A seal holds what was published in one turn: this publisher's turns have four samples at most. */
const LOST_MAX = 16

export const outboxFlip: Fault = {
  name: 'outbox-flip',
  title: "a flipped bit in a publisher's outbox",
  plants: ['no-dedup'],
  runs: 2,
  run,
}

async function run(options: FaultOptions): Promise<FaultOutcome> {
  await using rig = await Rig.open(options)
  const told: string[] = []
  for (let n = 0; n < options.runs; n++) told.push(await flip(rig, `flip-${n}`, options.seed + n))
  return await rig.outcome(told.join('; '), options.runs)
}

async function flip(rig: Rig, name: string, seed: number): Promise<string> {
  const { mesh, random } = rig
  const publisher = new OutboxPublisher(
    mesh,
    name,
    SOURCES.map((source) => `${name}.${source}`),
    seed,
  )
  await Promise.all(mesh.stores.map((store) => rig.kill(store)))
  const life = publisher.start({ from: 0, count: SAMPLES })
  await eventually(() => publisher.said.has('published'), {
    what: 'the samples are accepted',
    deadlineMs: 30_000,
  })
  await life.kill()
  const logs = filesOf(publisher.directory, /\.log$/).filter(
    (file) => readFileSync(file).length > 0,
  )
  const file = logs.at(-1)
  if (file === undefined) throw new Error('there is no outbox to flip a bit in')
  const bytes = readFileSync(file)
  // Not in its last record, which would pass for a torn write.
  const at = Math.floor((random.next() * bytes.length) / 2)
  bytes[at]! ^= 1 << Math.floor(random.next() * 8)
  writeFileSync(file, bytes)
  const backMs = systemClock.monotonicMs()
  await Promise.all(mesh.stores.map((store) => store.start()))
  await mesh.joined()
  const next = publisher.start({ from: SAMPLES, count: 1 })
  const { code } = await next.exited
  if (code !== 0) throw new Error(`the publisher ended with ${code}\n${next.said}`)
  if (!publisher.said.has('damaged')) throw new Error('the publisher has noticed no damage')
  await rig.whole(backMs)
  const { lost, repeated, wrong } = await compare(rig, publisher)
  if (wrong > 0 || repeated > 0) throw new Error(`${wrong} samples wrong, ${repeated} repeated`)
  if (lost > LOST_MAX) throw new Error(`one bit cost ${lost} samples`)
  return `${basename(file)} byte ${at} of ${bytes.length}: ${lost} samples that nobody had acknowledged`
}

async function compare(
  { mesh }: Rig,
  publisher: OutboxPublisher,
): Promise<{ lost: number; repeated: number; wrong: number }> {
  const { rows, coverage } = await mesh.ask({ kind: 'range', stream: OUTBOX_STREAM })
  if (!coverage.complete) throw new Error(`not complete: ${coverage.reasons.join('; ')}`)
  const accepted = publisher.accepted()
  const own = rows.filter(({ source }) => publisher.sources.includes(source))
  const found = new Set<unknown>()
  let wrong = 0
  for (const { source, fields } of own) {
    const n = fields['n'] as number
    found.add(n)
    const isRight = publisher.sources[n % SOURCES.length] === source && fields[source] === n / 3
    if (!isRight) wrong += 1
  }
  const lost = accepted.filter((n) => !found.has(n)).length
  return { lost, wrong, repeated: own.length - found.size }
}
