// The process that kill.e2e.test.ts kills: accepts, seals and finishes for ever, and says on stdout
// what it was promised, one line after each call has returned. Arguments: directory, life.
//
//   A n        sample n is accepted       S position sequence n n …   they are sealed in this frame
//   D position the frame is done          R                  recovered, the next life begins
import { writeSync } from 'node:fs'
import { systemClock } from '../../system.ts'
import { type FramePosition, OutboxLog } from '../log.ts'
import { frameOf, MESH, reading, seededRandom } from './support.ts'

const directory = process.argv[2]!
const life = Number(process.argv[3])
const random = seededRandom(life)

const log = await OutboxLog.open({
  directory,
  meshId: MESH,
  clock: systemClock,
  syncMs: 5,
  segmentBytes: 20_000,
})
const { recovered } = log
let pending = recovered.samples.map(({ ordinal, sample }) => ({
  ordinal,
  n: sample.fields['n'] as number,
}))
const positions: FramePosition[] = recovered.frames.map(({ position }) => position)
let sequence = life * 1_000_000

tell('R')
seal()
for (;;) {
  for (let i = 0; i < 20; i++) step()
  // Lets the background work in.
  await new Promise(setImmediate)
}

function step(): void {
  const choice = random()
  if (choice < 0.5) accept(1)
  else if (choice < 0.6) accept(1 + Math.floor(random() * 10))
  else if (choice < 0.8) seal()
  else finish()
}

function accept(count: number): void {
  const numbers = Array.from({ length: count }, () => ++sequence)
  const input = numbers.map((n) => ({ stream: 's', source: 'x', sample: reading(n) }))
  const first = log.appendSamples(input)
  numbers.forEach((n, i) => pending.push({ ordinal: first + i, n }))
  tell(numbers.map((n) => `A ${n}`).join('\n'))
}

function seal(): void {
  const taken = pending.filter(() => random() < 0.9)
  if (taken.length === 0) return
  pending = pending.filter((sample) => !taken.includes(sample))
  const numbers = taken.map(({ n }) => n)
  const bytes = frameOf(++sequence, numbers, Math.floor(random() * 2000))
  const position = log.appendSeal(
    bytes,
    taken.map(({ ordinal }) => ordinal),
  )
  positions.push(position)
  tell(`S ${position} ${sequence} ${numbers.join(' ')}`)
}

/** Mostly the oldest; a few are left behind for long, and pin their segments. */
function finish(): void {
  if (positions.length < 5) return
  const [position] = positions.splice(random() < 0.9 ? 4 : Math.floor(random() * 5), 1)
  if (position === undefined) return
  // Told first: that it may be forgotten is what a done means.
  tell(`D ${position}`)
  log.done(position)
}

function tell(line: string): void {
  writeSync(1, `${line}\n`)
}
