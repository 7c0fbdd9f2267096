// How fast a wiped peer fills itself again from the others, idle and while the mesh takes frames, beside
// how fast the same store takes them from a publisher, and how much that slows down meanwhile.
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { BenchError } from '../errors.ts'
import { rankStores, shardOf, type StoreId } from '../../mesh/index.ts'
import { nowUs } from '../measure/clock.ts'
import type { Section } from '../report/report.ts'
import type { Run } from '../result.ts'
import { median, voidText } from '../stats/figures.ts'
import { Feeder } from '../store/feeder.ts'
import type { FrameSet } from '../store/frames.ts'
import { PAYLOAD_OF, payloadFrames } from '../store/payloads.ts'
import { PeerHttp } from '../store/peer-http.ts'
import { startStores, type StoreProcess } from '../store/store-process.ts'
import {
  extra,
  goalOf,
  shown,
  storeRun,
  SYNCED,
  type Goal,
  type StoreBench,
  type StorePart,
} from './store-part.ts'

const STORES = 3
const COPIES = 2
const SOURCES = 100
const PAYLOAD = PAYLOAD_OF.frames
const IN_FLIGHT_BYTES = 8 << 20
/** Of frames, before they are copied; and how long ingest is measured without repair. */
const QUICK = { bytes: 150e6, seconds: 2 }
const FULL = { bytes: 1_000e6, seconds: 5 }
const LOOK_MS = 20
/** What is not full by then is told with how far it came. */
const REFILL_LIMIT_MS = 60_000
/** Until what repair left behind has settled. */
const SETTLE_MS = 1_000
const LOADS = ['idle', 'under ingest'] as const
type LoadName = (typeof LOADS)[number]

export const repair: StorePart = {
  name: 'repair',

  async measure(bench) {
    const { runner, directory, options, blocks } = bench
    const { bytes, seconds } = options.quick ? QUICK : FULL
    // A window that is shorter has less to repair, too.
    const share = Math.min(1, (options.seconds ?? seconds) / seconds)
    const set = payloadFrames(
      join(directory, 'repair.frames'),
      PAYLOAD,
      { sources: SOURCES, seed: options.seed },
      { bytes: bytes * share },
    )
    for (let block = 0; block < blocks; block++) {
      for (const load of LOADS) {
        runner.signal.throwIfAborted()
        await measureRun(bench, { set, load, block, seconds: seconds * share })
      }
    }
    await rm(set.path)
  },

  section(runs): Section {
    const rows = LOADS.map((load) => {
      const of = runsOf(runs, load)
      return [
        load,
        median(of, extra('refillFramesPerSecond')),
        median(of, megabytes('refillBytesPerSecond')),
        median(of, extra('ingestFramesPerSecond')),
        median(of, megabytes('ingestBytesPerSecond')),
        median(of, extra('refillOverIngest')),
        median(of, extra('slowed')),
        median(of, extra('readyToFullSeconds')),
        voidText(of),
      ]
    })
    return {
      title: 'Repair of a wiped peer',
      finding:
        `${STORES} storage peers, R = ${COPIES}, frames of ${PAYLOAD.samplesPerFrame} samples. One is killed, ` +
        'its disk emptied, and it is started again: a new member, with its own share beside that of the lost ' +
        'one. Its refill is what it got of that share, from the first frame to the last, beside what the ' +
        'same peer took of the publisher that filled the mesh before. Under ingest a publisher sends as ' +
        'fast as acks come; it is slowed by what it acknowledges less than after the refill. Where it was ' +
        `not full after ${REFILL_LIMIT_MS / 1000} s, no time is told.`,
      tables: [
        {
          columns: [
            { name: '' },
            { name: 'refill', unit: 'frames/s' },
            { name: 'refill', unit: 'MB/s' },
            { name: 'its ingest', unit: 'frames/s' },
            { name: 'its ingest', unit: 'MB/s' },
            { name: 'refill over ingest', unit: 'ratio' },
            { name: 'ingest slowed by', unit: '%' },
            { name: 'ready to full', unit: 's' },
            { name: '' },
          ],
          rows,
        },
      ],
    }
  },

  goals(runs): Goal[] {
    const [idle, busy] = LOADS.map((load) => runsOf(runs, load))
    return [
      goalOf(
        { what: 'refill over ingest, idle', bound: 'least', goal: 0.5, unit: 'ratio' },
        idle!,
        extra('refillOverIngest'),
      ),
      goalOf(
        { what: 'ingest slowed by a refill', bound: 'most', goal: 20, unit: '%' },
        busy!,
        extra('slowed'),
      ),
    ]
  },
}

const runsOf = (runs: readonly Run[], load: LoadName): Run[] =>
  runs.filter(({ cell }) => cell === `repair: ${load}`)

const megabytes =
  (name: string) =>
  (run: Run): number | undefined => {
    const bytes = run.extra?.[name]
    return bytes === undefined ? undefined : bytes / 1e6
  }

interface RunOptions {
  readonly set: FrameSet
  readonly load: LoadName
  readonly block: number
  /** Of ingest without repair. */
  readonly seconds: number
}

async function measureRun(bench: StoreBench, options: RunOptions): Promise<void> {
  const { set, load, block, seconds } = options
  const directory = join(bench.directory, 'repair')
  await mkdir(directory)
  {
    await using opened = new AsyncDisposableStack()
    const stores = await startStores(STORES, { directory, copies: COPIES })
    for (const store of stores) opened.use(store)
    const wiped = stores.at(-1)!
    const ownedBefore = await ownedShare(wiped, set)
    const fillSeconds = await fill(stores, set)
    await wiped.kill()
    wiped.wipe()
    await wiped.start()
    const readyUs = nowUs()
    const feeder =
      load === 'idle'
        ? undefined
        : opened.use(await feedOf(stores, set, { firstFrame: set.frames }))
    feeder?.go()
    const refill = await refilled(wiped, set, feeder)
    const after = feeder && (await rateOf(feeder, seconds))
    const framesPerSecond = refill.frames / refill.seconds
    const ingestFrames = (ownedBefore * set.frames) / fillSeconds
    const frameBytes = set.bytes / set.frames
    const figures = {
      refillFramesPerSecond: framesPerSecond,
      refillBytesPerSecond: framesPerSecond * frameBytes,
      ingestFramesPerSecond: ingestFrames,
      ingestBytesPerSecond: ingestFrames * frameBytes,
      pulledFrames: refill.pulledFrames,
      refillOverIngest: framesPerSecond / ingestFrames,
      ...(refill.isFull && { readyToFullSeconds: (refill.endUs - readyUs) / 1e6 }),
      ...(after !== undefined && {
        ingestDuring: refill.ingest!,
        ingestAfter: after,
        slowed: 100 * (1 - refill.ingest! / after),
      }),
    }
    bench.runner.runs.push(
      storeRun({
        cell: `repair: ${load}`,
        block,
        setting: { ...SYNCED, system: 'skein', copies: COPIES, stores: STORES },
        load: {
          sources: SOURCES,
          samplesPerFrame: set.samplesPerFrame,
          publishers: load === 'idle' ? 0 : 1,
        },
        seed: bench.options.seed,
        extra: figures,
      }),
    )
    const { refillBytesPerSecond, refillOverIngest, slowed, readyToFullSeconds } = figures
    bench.runner.say(
      `  block ${block + 1}  repair, ${load}: ${shown(refillBytesPerSecond / 1e6, 'MB/s')}, ` +
        shown(refillOverIngest, 'of its ingest') +
        (slowed === undefined ? '' : `, which it slowed by ${shown(slowed, '%')}`) +
        (readyToFullSeconds === undefined ? ', and it was not full in time' : ''),
    )
  }
  await rm(directory, { recursive: true })
}

function feedOf(
  stores: readonly StoreProcess[],
  set: FrameSet,
  part: { readonly firstFrame: number; readonly endFrame?: number },
): Promise<Feeder> {
  return Feeder.open({
    set,
    channel: stores[0]!.channel(),
    stores: STORES,
    inFlightBytes: IN_FLIGHT_BYTES,
    ...part,
  })
}

/** Seconds until all of the set is acknowledged. */
async function fill(stores: readonly StoreProcess[], set: FrameSet): Promise<number> {
  await using feeder = await feedOf(stores, set, { firstFrame: 0, endFrame: set.frames })
  const startUs = nowUs()
  feeder.go()
  const { atUs } = await feeder.until(({ isDone }) => isDone)
  return (atUs - startUs) / 1e6
}

/** Of the frames of a set, those that a store owns: each source has as many frames. */
async function ownedShare(store: StoreProcess, { sources }: FrameSet): Promise<number> {
  using http = new PeerHttp(store.http)
  const own = await http.storeId()
  const members = await http.storeIds()
  const owned = sources.filter((source) => owners(source, members).includes(own))
  return owned.length / sources.length
}

const owners = (source: string, members: readonly StoreId[]): StoreId[] =>
  rankStores(shardOf(source), members).slice(0, COPIES)

interface Refill {
  /** Between the first and the last look at which frames had come. */
  readonly seconds: number
  readonly frames: number
  readonly endUs: number
  readonly isFull: boolean
  /** Of all frames, those that were sent meanwhile included. */
  readonly pulledFrames: number
  /** Frames/s that were acknowledged to the publisher meanwhile, if there was one. */
  readonly ingest: number | undefined
}

/** Watches what a store has of the set, until that is all that it owns of it. */
async function refilled(
  store: StoreProcess,
  set: FrameSet,
  feeder: Feeder | undefined,
): Promise<Refill> {
  using http = new PeerHttp(store.http)
  const held = (): Promise<number> => http.held(set.stream, set.frames / set.sources.length)
  const limitMs = performance.now() + REFILL_LIMIT_MS
  const until = async (wanted: number): Promise<number> => {
    for (;;) {
      const frames = await held()
      if (frames >= wanted || performance.now() > limitMs) return frames
      await delay(LOOK_MS)
    }
  }
  const first = await until(1)
  const startUs = nowUs()
  const before = await feeder?.progress()
  const wanted = Math.floor((await ownedShare(store, set)) * set.frames)
  const last = await until(wanted)
  const endUs = nowUs()
  if (last === first) {
    throw new BenchError('BENCH_SYSTEM_FAILED', `a wiped store got ${last} frames, and no more`)
  }
  const now = await feeder?.progress()
  const ingest =
    now && before && (1e6 * (now.ackedFrames - before.ackedFrames)) / (now.atUs - before.atUs)
  return {
    seconds: (endUs - startUs) / 1e6,
    frames: last - first,
    endUs,
    isFull: last >= wanted,
    pulledFrames: await http.metric('skein_repair_pulled_frames_total'),
    ingest,
  }
}

/** Frames/s acknowledged with nothing to repair. */
async function rateOf(feeder: Feeder, seconds: number): Promise<number> {
  await delay(SETTLE_MS)
  const from = await feeder.progress()
  await delay(seconds * 1000)
  const to = await feeder.progress()
  return (1e6 * (to.ackedFrames - from.ackedFrames)) / (to.atUs - from.atUs)
}
