// docs/storage-format.md and docs/wire-format.md are enough to read a store without Skein (issue 6,
// "Shown by" 3): read_store.py, which was written from them, lists exactly the samples put in.
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { codecFor, compileSchema, encodeFrame, openFrame, SeededRandom } from '../mesh/index.ts'
import type { Epoch, Fields, FrameHeader, Sample, Schema } from '../mesh/index.ts'
import { makeVectors, spelled, type Vector } from '../mesh/vectors/make.ts'
import { EPOCHS, HOUR_US, START_US } from '../storage/conformance/test-frames.ts'
import { openLevelStore, openSchemaStore } from '../storage/index.ts'
import type { LevelStore, StoredFrame } from '../storage/index.ts'
import { filesOf, flip } from '../storage/level/test-disk.ts'

const SCRIPT = path.join(import.meta.dirname, 'read_store.py')
const hasPython = spawnSync('python3', ['--version']).status === 0
const unlessSkipped = hasPython ? '' : ' [skipped: there is no python3]'

const START_MS = START_US / 1000
const SAMPLES = 25
/** 😀 comes before ～ by code unit and after it by code point. */
const MOTION = schemaOf('door', 'moving', 'speed', '～', '😀')
const AIR = schemaOf('no2', 'pm10')

/** A frame, and the lines that the script prints for it. */
interface Put extends StoredFrame {
  readonly lines: readonly object[]
}

let directory = ''
let store: LevelStore

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'skein-read-store-'))
})

afterEach(async () => {
  await store.close()
  fs.rmSync(directory, { recursive: true })
})

function schemaOf(...names: string[]): Schema {
  const type = ['boolean', 'number', 'string']
  return compileSchema({
    type: 'object',
    properties: Object.fromEntries(names.map((name) => [name, { type }])),
  })
}

async function openStore(schemas: readonly Schema[]): Promise<void> {
  const schemaStore = await openSchemaStore(path.join(directory, 'schemas'))
  for (const schema of schemas) await schemaStore.put(schema)
  store = await openLevelStore({ directory, schemas: schemaStore, segmentBytesMax: 20_000 })
}

function put(header: FrameHeader, body: Uint8Array, samples: unknown, ingestUs: number): Put {
  const { stream, source, epoch, sequence, kind, firstUs } = header
  const name = { stream, source, epoch, sequence }
  const all = (samples ?? []) as { timeUs: number; fields: object }[]
  const isReadable = header.codec === 'json' || (header.codec === 'columnar' && body[0] === 0)
  const decoded = all.map(({ timeUs, fields }, index) => ({ ...name, index, time: timeUs, fields }))
  const raw = { ...name, index: 0, time: firstUs, raw: body.length }
  const lines = kind !== 'data' ? [] : isReadable ? decoded : [raw]
  return { frame: openFrame(encodeFrame(header, body)), ingestUs, lines }
}

interface Batch {
  readonly source: string
  readonly stream: string
  readonly epoch: Epoch
  readonly sequence: number
  readonly codec: 'columnar' | 'json'
  readonly schema: Schema
  readonly samples: readonly Sample[]
}

function putBatch({ schema, samples, ...name }: Batch, ingestUs: number): Put {
  const times = samples.map(({ timeUs }) => timeUs)
  const header: FrameHeader = {
    ...name,
    kind: 'data',
    firstUs: Math.min(...times),
    lastUs: Math.max(...times),
    count: samples.length,
    schemaId: schema.id,
  }
  const body = codecFor(name.codec).encode(samples, schema)
  return put(header, body, spelled(samples), ingestUs)
}

/** Columns of every kind and coding, two of them beyond the schema; `magic` looks like a frame. */
function samplesFrom(startUs: number, random: SeededRandom): Sample[] {
  return Array.from({ length: SAMPLES }, (_, n) => {
    const fields: Fields = {
      speed: Math.round(Math.sin(n) * 1000) / 10,
      door: n % 3 === 0 ? 'open' : 'closed',
      moving: n % 2 === 0,
      '～': random.next() * 1e-7,
      '😀': [NaN, Infinity, -Infinity, -0][n] ?? n,
      no2: n,
      ...(n % 4 === 1 && { pm10: n / 8 }),
      'mixed, ': [n, n / 7, n > 9, `${n}`, NaN][n % 5]!,
      magic: `SKF\u0001SKB\u0001${n}`,
    }
    return { timeUs: startUs + n * 500_000 + (n % 3), fields }
  })
}

/** Twelve frames of a lane, of them `asJson` as JSON. */
function lane(
  name: Pick<Batch, 'source' | 'stream' | 'epoch'>,
  ingestUs: number,
  asJson = 0,
): Put[] {
  const schema = name.stream === 'city.air' ? AIR : MOTION
  const random = new SeededRandom(7)
  return Array.from({ length: 12 }, (_, i) => {
    const sequence = i + 1
    const samples = samplesFrom(ingestUs + i * 10_000_000, random)
    const codec = sequence === asJson ? 'json' : 'columnar'
    return putBatch({ ...name, sequence, codec, schema, samples }, ingestUs + i)
  })
}

/** The golden vectors, which have every coding there is; their samples are as the script spells them. */
function vectorLane(epoch: Epoch, ingestUs: number): { puts: Put[]; schemas: Schema[] } {
  const vectors = makeVectors().filter(({ header }: Vector) => header.kind === 'data')
  const puts = vectors.map(({ header, frame, samples }, i) => {
    const { body } = openFrame(Buffer.from(frame, 'hex'))
    return put({ ...header, source: 'vectors', epoch, sequence: i + 1 }, body, samples, ingestUs)
  })
  return { puts, schemas: vectors.map(({ schema }) => compileSchema(schema!)) }
}

async function append(some: readonly Put[]): Promise<void> {
  for (let i = 0; i < some.length; i += 10) await store.append(some.slice(i, i + 10))
}

function run(): { lines: string[]; said: string } {
  const { stdout, stderr, status } = spawnSync('python3', [SCRIPT, directory], {
    encoding: 'utf8',
    maxBuffer: 1e9,
  })
  expect({ status, said: stderr }).toMatchObject({ status: 0 })
  return {
    lines: printed(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ),
    said: stderr,
  }
}

/** In an order of their own, as text that tells apart what differs, 0 and -0 among it. */
function printed(lines: readonly unknown[]): string[] {
  const options = { sorted: true, depth: 9, breakLength: Infinity, maxStringLength: null }
  return lines.map((line) => inspect(line, options)).sort()
}

/** Names a few lines that are lacking or too many, then compares all. */
function expectLines(lines: readonly string[], puts: readonly Put[]): void {
  const wanted = printed(puts.flatMap((each) => each.lines))
  const [there, meant] = [new Set(lines), new Set(wanted)]
  const lacking = wanted.filter((line) => !there.has(line))
  const unwanted = lines.filter((line) => !meant.has(line))
  expect([lacking.slice(0, 3), unwanted.slice(0, 3)]).toEqual([[], []])
  expect(lines.length).toBe(wanted.length)
}

test.skipIf(!hasPython)(
  `a script in Python - lists every sample of segments and block files, once${unlessSkipped}`,
  async () => {
    const first = vectorLane(EPOCHS[1]!, START_US)
    const second = vectorLane(EPOCHS[2]!, START_US + HOUR_US)
    await openStore([MOTION, AIR, ...first.schemas])
    const motion = { source: 'VH001', stream: 'vehicle.motion', epoch: EPOCHS[0]! }
    const last = { ...motion, lastUs: START_US, firstUs: START_US, schemaId: MOTION.id }
    const runs = Buffer.from('{"runs":[[13,14,9]]}')
    const closed = [
      ...lane(motion, START_US, 5),
      put({ ...last, kind: 'skip', codec: 'json', sequence: 15, count: 9 }, runs, [], START_US),
      ...lane({ ...motion, source: 'Straßenbahn 7' }, START_US),
      ...lane({ ...motion, epoch: EPOCHS[1]! }, START_US),
      ...first.puts,
    ]
    await append(closed)
    const bucket = path.join(directory, `buckets/default/${START_MS}`)
    const [segment] = filesOf(bucket, '000001.seg')
    const replaced = fs.readFileSync(segment!)
    expect(await store.compact('default', START_MS)).toBe(true)
    expect(filesOf(bucket, '.seg')).toEqual([])
    // What comes late lies beside the block file; the others are in buckets of their own.
    const open = [
      ...lane({ ...motion, source: 'late' }, START_US),
      ...lane({ source: 'A7', stream: 'city.air', epoch: EPOCHS[2]! }, START_US + HOUR_US, 1),
      ...second.puts,
      ...lane({ source: 'A8', stream: 'city.air', epoch: EPOCHS[0]! }, START_US + 2 * HOUR_US),
    ]
    await append(open)
    await store.close()

    // A stop in the middle of a compaction leaves a segment that the block file stands for.
    fs.writeFileSync(segment!, replaced)
    flip(segment!, 3000)
    fs.writeFileSync(path.join(bucket, '000099.blk.tmp'), 'SKBF')
    const [live] = filesOf(path.join(directory, `buckets/default/${START_MS + 3_600_000}`), '.seg')
    fs.copyFileSync(live!, path.join(path.dirname(live!), '000099.seg'))
    const { lines, said } = run()
    expectLines(lines, [...closed, ...open])
    expect(said).toMatch(/^0 damaged, \d+ raw\n$/)
  },
)

test.skipIf(!hasPython)(
  `a script in Python - a flipped bit costs the frame whose record it is in${unlessSkipped}`,
  async () => {
    await openStore([MOTION])
    const puts = lane({ source: 'VH001', stream: 'vehicle.motion', epoch: EPOCHS[0]! }, START_US)
    await append(puts)
    await store.close()
    // In a body, which the frame's CRC covers, and in an ingest time, which the record's check does.
    const inBody = flipNear(puts[3]!, 100)
    const inIngestTime = flipNear(puts[8]!, -10)
    const { lines, said } = run()
    expectLines(lines, [...puts.slice(0, 3), ...puts.slice(4, 8), ...puts.slice(9)])
    expect(said).toContain(inBody)
    expect(said).toContain(inIngestTime)
    expect(said).toContain('2 damaged, 0 raw')
  },
)

/** Flips a bit `by` bytes from a frame's begin in its segment; what the script has to say of it. */
function flipNear({ frame }: Put, by: number): string {
  const bytes = Buffer.from(frame.bytes)
  for (const file of filesOf(directory, '.seg')) {
    const at = fs.readFileSync(file).indexOf(bytes)
    if (at < 0) continue
    flip(file, at + by)
    return `${file}: no whole record in bytes ${at - 16} to ${at + bytes.length}\n`
  }
  throw new Error(`frame ${frame.sequence} is in no segment`)
}

test.skipIf(!hasPython)(
  `a script in Python - a damaged header costs no sample, a damaged schema only names${unlessSkipped}`,
  async () => {
    await openStore([MOTION])
    const puts = lane({ source: 'VH001', stream: 'vehicle.motion', epoch: EPOCHS[0]! }, START_US)
    await append(puts)
    expect(await store.compact('default', START_MS)).toBe(true)
    await store.close()
    flip(filesOf(directory, '.blk')[0]!, 16)
    flip(path.join(directory, 'schemas', `${MOTION.id}.json`), 20)
    const { lines, said } = run()
    expectLines(lines, puts.map(withNumbers))
    expect(said).toContain('1 damaged, 0 raw')
  },
)

/** As the lines are when nobody knows the names that MOTION gives to numbers. */
function withNumbers({ lines, ...stored }: Put): Put {
  const numbered = (name: string): string => {
    const i = MOTION.fields.indexOf(name)
    return i < 0 ? name : `#${i + 1}`
  }
  const renamed = lines.map((line) => {
    const fields = Object.entries('fields' in line ? (line.fields as object) : {})
    return { ...line, fields: Object.fromEntries(fields.map(([k, v]) => [numbered(k), v])) }
  })
  return { ...stored, lines: renamed }
}
