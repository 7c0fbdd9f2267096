// The log against a model, in random operations cut short by crashes: of the process (all writes are
// there), of the process within a write (the last segment ends at any byte), and of the power (each
// file ends where its last fdatasync found it). fdatasync itself is replaced by a note of the size.
// Each life seals in lanes of its own, and in those that earlier lives left without an end.
import type * as Fs from 'node:fs'
import { readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { Epoch } from '../names.ts'
import type { Sample } from '../sample.ts'
import { type FramePosition, OutboxLog, type Recovered } from './log.ts'
import {
  copySegments,
  frameOf,
  frozenClock,
  MESH,
  reading,
  segmentNames,
  seededRandom,
  tempDirectory,
} from './testing/support.ts'

/** Path → size at its last fdatasync. */
const syncedBytes = vi.hoisted(() => new Map<string, number>())
const pathOf = vi.hoisted(() => new Map<number, string>())

vi.mock('node:fs', async (original) => {
  const actual = await original<typeof Fs>()
  return {
    ...actual,
    openSync: (path: string, flags: string) => {
      const fd = actual.openSync(path, flags)
      pathOf.set(fd, path)
      return fd
    },
    fdatasync: (fd: number, callback: (error: null) => void) => {
      const { size } = actual.fstatSync(fd)
      setImmediate(() => {
        syncedBytes.set(pathOf.get(fd)!, size)
        callback(null)
      })
    },
  }
})

let root: string
beforeAll(() => {
  root = tempDirectory()
})
afterAll(() => rmSync(root, { recursive: true }))

interface ModelFrame {
  readonly bytes: Buffer
  readonly ordinals: readonly number[]
  readonly lane: string
}

interface ModelLane {
  readonly source: string
  readonly epoch: Epoch
  readonly last: number
  readonly ended: boolean
  readonly uncertain: boolean
}

const nameOf = ({ source, epoch }: { source: string; epoch: string }): string =>
  `${source} ${epoch}`

/** What must be in the log, and what may be back after a crash although it is done or dropped. */
class Model {
  samples = new Map<number, Sample>()
  frames = new Map<number, ModelFrame>()
  maybeSamples = new Map<number, Sample>()
  maybeFrames = new Map<number, ModelFrame>()
  /** Lanes in which something may be left to do. */
  lanes = new Map<string, ModelLane>()
  /** The greatest sequence ever sealed, whatever a power cut took away again. */
  readonly greatest = new Map<string, number>()

  settle(): void {
    this.maybeSamples.clear()
    this.maybeFrames.clear()
  }

  /** Checks what a life found, and takes it as the new truth. */
  expect(found: Recovered, afterPowerCut: boolean): void {
    if (afterPowerCut) this.expectNoWrongEnd(found)
    else this.expectLanes(found)
    this.lanes.clear()
    for (const { source, epoch, lastSequence: last, ended, uncertain } of found.lanes) {
      this.lanes.set(nameOf({ source, epoch }), { source, epoch, last, ended, uncertain })
    }
    const ordinals = found.samples.map(({ ordinal }) => ordinal)
    const positions = found.frames.map(({ position }) => position)
    expect(ordinals).toEqual([...new Set(ordinals)].sort((a, b) => a - b))
    expect(positions).toEqual([...new Set(positions)].sort((a, b) => a - b))
    for (const ordinal of this.samples.keys()) expect(ordinals).toContain(ordinal)
    for (const position of this.frames.keys()) expect(positions).toContain(position)
    for (const { ordinal, sample } of found.samples) {
      const known = this.samples.get(ordinal) ?? this.maybeSamples.get(ordinal)
      expect(isDeepStrictEqual(sample, known)).toBe(true)
      this.samples.set(ordinal, sample)
    }
    for (const { position, frame } of found.frames) {
      const known = this.frames.get(position) ?? this.maybeFrames.get(position)!
      expect(frame.bytes.equals(known.bytes)).toBe(true)
      this.frames.set(position, known)
    }
    this.settle()
  }

  /** Exactly what was sealed; what has its end, or no end, only as long as a frame of it is live. */
  private expectLanes({ lanes }: Recovered): void {
    const found = new Map(lanes.map((lane) => [nameOf(lane), lane]))
    expect(found.size).toBe(lanes.length)
    const live = new Set([...this.frames.values()].map(({ lane }) => lane))
    for (const [name, { last, ended, uncertain }] of this.lanes) {
      const lane = found.get(name)
      if (live.has(name) || !(ended || uncertain)) expect(lane).toBeDefined()
      if (lane === undefined) continue
      expect(lane).toMatchObject({ lastSequence: last, ended, uncertain, stream: 'vehicle.motion' })
      found.delete(name)
    }
    expect([...found.keys()]).toEqual([])
  }

  /** The last seals may be lost although they were sent: then nothing may be numbered after them. */
  private expectNoWrongEnd({ lanes }: Recovered): void {
    for (const lane of lanes) {
      if (lane.ended) expect(lane.lastSequence).toBe(this.greatest.get(nameOf(lane)))
      else expect(lane.uncertain).toBe(true)
    }
  }
}

type Step =
  | { do: 'samples'; count: number }
  | { do: 'seal'; pick: number; padding: number }
  | { do: 'end'; pick: number }
  | { do: 'drop'; pick: number }
  | { do: 'done'; pick: number; count: number }
  | { do: 'sync' }
  | { do: 'close' }
  | { do: 'crash'; inSync: boolean; recovering: number }
  | { do: 'tear'; at: number }
  | { do: 'power' }

const nat = fc.nat(1000)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('samples' as const),
      count: fc.integer({ min: 1, max: 6 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('seal' as const), pick: nat, padding: fc.nat(500) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('end' as const), pick: nat }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('drop' as const), pick: nat }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('done' as const),
      pick: nat,
      count: fc.integer({ min: 1, max: 5 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('sync' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('crash' as const),
      inSync: fc.boolean(),
      recovering: fc.nat(200),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('tear' as const), at: nat }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('power' as const) }) },
)

/** One log, its model, and its directory, which changes with each crash. */
class Run {
  private readonly model = new Model()
  private readonly segmentBytes: number
  private readonly name: string
  private directory: string
  private life = 0
  private lives = 0
  private boot = 0
  private sequence = 0
  private log!: OutboxLog
  /** Writes since the last sync: where each ended, and how to take it out of the model again. */
  private tail: { segment: string; end: number; undo: () => void }[] = []
  private syncedEnd = { segment: '', size: 0 }

  constructor(segmentBytes: number, name: string) {
    this.segmentBytes = segmentBytes
    this.name = name
    this.directory = join(root, `${name}-0`)
  }

  async start(afterPowerCut = false): Promise<void> {
    this.lives += 1
    this.log = await this.open(this.directory)
    this.model.expect(this.log.recovered, afterPowerCut)
    this.noteSynced()
  }

  private open(directory: string): Promise<OutboxLog> {
    const options = { directory, meshId: MESH, clock: frozenClock, bootId: `boot ${this.boot}` }
    return OutboxLog.open({ ...options, segmentBytes: this.segmentBytes })
  }

  async finish(): Promise<void> {
    await this.log.close()
    for (let life = 0; life <= this.life; life++) {
      rmSync(join(root, `${this.name}-${life}`), { recursive: true, force: true })
    }
  }

  async step(step: Step): Promise<void> {
    if (step.do === 'samples') this.appendSamples(step.count)
    else if (step.do === 'seal') this.seal(step.pick, step.padding)
    else if (step.do === 'end') this.end(step.pick)
    else if (step.do === 'drop') this.drop(step.pick)
    else if (step.do === 'done') this.done(step.pick, step.count)
    else if (step.do === 'sync') await this.sync()
    else if (step.do === 'close') await this.close()
    else if (step.do === 'crash') await this.crash(step.inSync, step.recovering)
    else if (step.do === 'tear') await this.tear(step.at)
    else await this.powerCut()
  }

  private appendSamples(count: number): void {
    const batch = Array.from({ length: count }, (_, i) => reading(this.sequence * 10 + i))
    const input = batch.map((sample) => ({ stream: 's', source: 'x', sample }))
    const first =
      count === 1 ? this.log.appendSample('s', 'x', batch[0]!) : this.log.appendSamples(input)
    batch.forEach((sample, i) => this.model.samples.set(first + i, sample))
    // A batch is one write, but a crash within it may keep some of it: nobody was told anything.
    this.noteWrite(() => {
      batch.forEach((sample, i) => {
        this.model.samples.delete(first + i)
        this.model.maybeSamples.set(first + i, sample)
      })
    })
  }

  private seal(pick: number, padding: number): void {
    const { samples, frames } = this.model
    const random = seededRandom(pick)
    const ordinals = [...samples.keys()].filter(() => random() < 0.5)
    const taken = ordinals.map((ordinal) => [ordinal, samples.get(ordinal)!] as const)
    this.sequence += 1
    const lane = this.lane(pick)
    const bytes = frameOf(lane.last + 1, ordinals, padding, identity(lane))
    const position = this.log.appendSeal(bytes, random() < 0.5 ? ordinals : ordinals.reverse())
    expect(frames.has(position)).toBe(false)
    frames.set(position, { bytes, ordinals, lane: nameOf(lane) })
    for (const ordinal of ordinals) samples.delete(ordinal)
    const undoLane = this.sealed({ ...lane, last: lane.last + 1 })
    this.noteWrite(() => {
      frames.delete(position)
      this.model.maybeFrames.delete(position)
      for (const [ordinal, sample] of taken) samples.set(ordinal, sample)
      undoLane()
    })
  }

  private end(pick: number): void {
    const { frames, maybeFrames } = this.model
    const lane = this.lane(pick)
    const bytes = frameOf(lane.last + 1, [], 0, { ...identity(lane), kind: 'end', codec: 'none' })
    const position = this.log.appendSeal(bytes, [])
    frames.set(position, { bytes, ordinals: [], lane: nameOf(lane) })
    const undoLane = this.sealed({ ...lane, last: lane.last + 1, ended: true })
    this.noteWrite(() => {
      frames.delete(position)
      maybeFrames.delete(position)
      undoLane()
    })
  }

  /** One of two of this life, or any earlier one in which something may still be sealed. */
  private lane(pick: number): ModelLane {
    const epoch = String(this.lives).padStart(16, '0') as Epoch
    const own = { source: `VH${pick % 2}`, epoch, last: 0, ended: false, uncertain: false }
    const open = [...this.model.lanes.values()].filter((lane) => !lane.ended && !lane.uncertain)
    const ended = this.model.lanes.get(nameOf(own))?.ended === true
    if (!open.some((lane) => nameOf(lane) === nameOf(own)) && !ended) open.push(own)
    // Another source of this life when all else has its end.
    return open[pick % open.length] ?? { ...own, source: `VH${this.sequence + 2}` }
  }

  /** Notes a seal in the model, and returns how to take it out again. */
  private sealed(lane: ModelLane): () => void {
    const { lanes, greatest } = this.model
    const name = nameOf(lane)
    const before = lanes.get(name)
    lanes.set(name, lane)
    greatest.set(name, lane.last)
    return () => {
      if (before === undefined) lanes.delete(name)
      else lanes.set(name, before)
    }
  }

  private drop(pick: number): void {
    const { samples, maybeSamples } = this.model
    const ordinal = [...samples.keys()][pick % (samples.size + 1)]
    if (ordinal === undefined) return
    maybeSamples.set(ordinal, samples.get(ordinal)!)
    samples.delete(ordinal)
    this.log.dropSamples([ordinal])
  }

  private done(pick: number, count: number): void {
    const { frames, maybeFrames } = this.model
    for (let i = 0; i < count; i++) {
      const position = [...frames.keys()][(pick + i) % (frames.size + 1)]
      if (position === undefined) continue
      maybeFrames.set(position, frames.get(position)!)
      frames.delete(position)
      this.log.done(position as FramePosition)
    }
  }

  private async sync(): Promise<void> {
    await this.log.sync()
    this.model.settle()
    this.noteSynced()
    for (const [position, { bytes }] of this.model.frames) {
      expect(this.log.read(position as FramePosition).equals(bytes)).toBe(true)
    }
    this.expectDiskBytes()
  }

  private async close(): Promise<void> {
    await this.log.close()
    this.model.settle()
    // Whatever happens to the system then.
    this.boot += 1
    await this.start()
  }

  /** kill -9, maybe while upkeep runs, and once more while the next life recovers. */
  private async crash(inSync: boolean, recovering: number): Promise<void> {
    const running = inSync ? this.log.sync() : undefined
    const turns = inSync ? recovering % 7 : 0
    for (let i = 0; i < turns; i++) await new Promise(setImmediate)
    const from = this.directory
    this.moveTo(this.nextDirectory())
    await running
    await this.abandon(from)
    await this.crashInRecovery(recovering)
    await this.start()
  }

  /** The first thing open() changes is a new segment: leaves any part of that. */
  private async crashInRecovery(recovering: number): Promise<void> {
    const probe = `${this.directory}-probe`
    copySegments(this.directory, probe)
    const log = await this.open(probe)
    const newest = segmentNames(probe).at(-1)!
    const bytes = readFileSync(join(probe, newest))
    await log.close()
    rmSync(probe, { recursive: true })
    const part = bytes.subarray(0, recovering % (bytes.length + 1))
    writeFileSync(join(this.directory, newest), part)
  }

  /** The process dies within a write: the newest segment ends anywhere after its synced part. */
  private async tear(at: number): Promise<void> {
    const from = this.directory
    this.moveTo(this.nextDirectory())
    const newest = segmentNames(this.directory).at(-1)!
    const size = statSync(join(this.directory, newest)).size
    const least = newest === this.syncedEnd.segment ? this.syncedEnd.size : 0
    const kept = least + (at % (size - least + 1))
    truncateSync(join(this.directory, newest), kept)
    for (const write of this.tail.reverse()) {
      if (write.segment === newest && write.end > kept) write.undo()
    }
    await this.abandon(from)
    await this.start()
  }

  /** Each file ends where its last sync left it: what was synced must be there, and nothing twice. */
  private async powerCut(): Promise<void> {
    const from = this.directory
    const durable = segmentNames(from).map((name) => {
      return { name, size: syncedBytes.get(join(from, name)) ?? 0 }
    })
    this.moveTo(this.nextDirectory())
    for (const { name, size } of durable) truncateSync(join(this.directory, name), size)
    // All that was written since the last sync is undone, or not: later files may be synced.
    for (const { undo } of this.tail.reverse()) undo()
    await this.abandon(from)
    this.boot += 1
    await this.start(true)
  }

  private nextDirectory(): string {
    this.life += 1
    return join(root, `${this.name}-${this.life}`)
  }

  private moveTo(directory: string): void {
    copySegments(this.directory, directory)
    this.directory = directory
  }

  /** The old life goes on in its own directory, of no interest to anyone. */
  private async abandon(directory: string): Promise<void> {
    await this.log.close()
    rmSync(directory, { recursive: true })
  }

  private noteWrite(undo: () => void): void {
    const segment = segmentNames(this.directory).at(-1)!
    const end = statSync(join(this.directory, segment)).size
    this.tail.push({ segment, end, undo })
  }

  private noteSynced(): void {
    this.tail = []
    const segment = segmentNames(this.directory).at(-1)!
    for (const name of segmentNames(this.directory)) {
      // Files of an earlier life are on disk: this one found them there.
      const path = join(this.directory, name)
      if (!syncedBytes.has(path)) syncedBytes.set(path, statSync(path).size)
    }
    const { size } = statSync(join(this.directory, segment))
    this.syncedEnd = { segment, size }
  }

  private expectDiskBytes(): void {
    let bytes = 0
    for (const name of segmentNames(this.directory)) {
      bytes += statSync(join(this.directory, name)).size
    }
    expect(this.log.diskBytes).toBe(bytes)
  }
}

function identity({ source, epoch }: ModelLane): { source: string; epoch: Epoch } {
  return { source, epoch }
}

test('whatever the operations and crashes: no accepted sample is lost or doubled, and the last sequence of each lane is known', async () => {
  let runs = 0
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(200, 1500, 10_000),
      fc.array(step, { minLength: 5, maxLength: 60 }),
      async (segmentBytes, steps) => {
        const run = new Run(segmentBytes, `run${runs++}`)
        await run.start()
        for (const step of steps) await run.step(step)
        await run.finish()
      },
    ),
    { numRuns: 150, interruptAfterTimeLimit: 20_000 },
  )
})
