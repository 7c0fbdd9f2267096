// How long a store with much data needs from the start of its process to its first right answer, after it
// was stopped in order and after kill -9.
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { BenchError } from '../errors.ts'
import { openFrame } from '../../mesh/index.ts'
import type { Section } from '../report/report.ts'
import type { Run } from '../result.ts'
import { median, voidText } from '../stats/figures.ts'
import { Feeder } from '../store/feeder.ts'
import { Frames, type FrameSet } from '../store/frames.ts'
import { PAYLOAD_OF, payloadFrames, STREAM } from '../store/payloads.ts'
import { PeerHttp } from '../store/peer-http.ts'
import { StoreProcess } from '../store/store-process.ts'
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

const SOURCES = 100
const PAYLOAD = PAYLOAD_OF.blocks
const IN_FLIGHT_BYTES = 8 << 20
const GB = 1e9
const QUICK_GIGABYTES = 1
const FULL_GIGABYTES = 10
/** Made once; sent again with other sequences until there is enough. */
const SET_BYTES = 0.5 * GB
/** Long enough that all of it is open. */
const ONE_BUCKET = '365d'
/** Filling takes most of the time, and one restart is much like the other. */
const BLOCKS_MAX = 3
const LOOK_MS = 2
const ANSWER_LIMIT_MS = 120_000
const ENDS = ['stopped', 'killed'] as const
type End = (typeof ENDS)[number]

export const restart: StorePart = {
  name: 'restart',

  async measure(bench) {
    const { runner, directory, options } = bench
    const gigabytes = options.gigabytes ?? (options.quick ? QUICK_GIGABYTES : FULL_GIGABYTES)
    const set = payloadFrames(
      join(directory, 'restart.frames'),
      PAYLOAD,
      { sources: SOURCES, seed: options.seed },
      { bytes: Math.min(SET_BYTES, gigabytes * GB) },
    )
    for (let block = 0; block < Math.min(bench.blocks, BLOCKS_MAX); block++) {
      runner.signal.throwIfAborted()
      await measureBlock(bench, set, gigabytes, block)
    }
    await rm(set.path)
  },

  section(runs): Section {
    const rows = ENDS.map((end) => {
      const of = runsOf(runs, end)
      return [
        end === 'killed' ? 'kill -9' : 'stopped in order',
        median(of, extra('gigabytes')),
        median(of, extra('frames')),
        median(of, extra('answerSeconds')),
        voidText(of),
      ]
    })
    return {
      title: 'Restart',
      finding:
        'From the start of the process to the first right answer over HTTP: the newest sample of one source, ' +
        'complete. Killed with all of its data in one open bucket, once its last frame was acknowledged; ' +
        'then stopped in order. What the operating system had cached it still had.',
      tables: [
        {
          columns: [
            { name: 'it was' },
            { name: 'data', unit: 'GB' },
            { name: 'frames' },
            { name: 'first right answer', unit: 's' },
            { name: '' },
          ],
          rows,
        },
      ],
    }
  },

  goals(runs): Goal[] {
    return ENDS.map((end) => {
      const of = runsOf(runs, end)
      const what = `answers after it was ${end}, ${median(of, extra('gigabytes')) ?? '–'} GB`
      const goal = end === 'killed' ? 10 : 2
      return goalOf({ what, bound: 'most', goal, unit: 's' }, of, extra('answerSeconds'))
    })
  },
}

const runsOf = (runs: readonly Run[], end: End): Run[] =>
  runs.filter(({ cell }) => cell === `restart: ${end}`)

async function measureBlock(
  bench: StoreBench,
  set: FrameSet,
  gigabytes: number,
  block: number,
): Promise<void> {
  const directory = join(bench.directory, 'restart')
  await mkdir(directory)
  {
    const endFrame = Math.ceil((gigabytes * GB * set.frames) / set.bytes)
    await using store = await StoreProcess.start({
      name: 'storage-1',
      directory,
      copies: 1,
      settings: { 'storage.bucket': ONE_BUCKET },
    })
    await fill(store, set, endFrame)
    const wanted = newest(set, endFrame)
    for (const end of ENDS.toReversed()) {
      await (end === 'killed' ? store.kill() : store.stop())
      const answerSeconds = await startAndAsk(store, wanted)
      bench.runner.runs.push(
        storeRun({
          cell: `restart: ${end}`,
          block,
          setting: { ...SYNCED, system: 'skein' },
          load: { sources: SOURCES, samplesPerFrame: set.samplesPerFrame, publishers: 0 },
          seed: bench.options.seed,
          extra: { gigabytes, frames: endFrame, answerSeconds },
        }),
      )
      bench.runner.say(
        `  block ${block + 1}  restart with ${gigabytes} GB, ${end}: ${shown(answerSeconds, 's')}`,
      )
    }
  }
  await rm(directory, { recursive: true })
}

async function fill(store: StoreProcess, set: FrameSet, endFrame: number): Promise<void> {
  await using feeder = await Feeder.open({
    set,
    channel: store.channel(),
    stores: 1,
    inFlightBytes: IN_FLIGHT_BYTES,
    firstFrame: 0,
    endFrame,
  })
  feeder.go()
  await feeder.until(({ isDone }) => isDone)
}

/** What the answer has to be. */
interface Newest {
  readonly source: string
  readonly timeUs: number
}

/** Of the first source: what is sent again has the times of what was sent first. */
function newest(set: FrameSet, endFrame: number): Newest {
  const frames = new Frames(set)
  const newestOf = { source: set.sources[0]!, timeUs: 0 }
  for (let i = 0; i < Math.min(endFrame, frames.count); i += set.sources.length) {
    newestOf.timeUs = Math.max(newestOf.timeUs, openFrame(frames.frame(i, 0)).lastUs)
  }
  return newestOf
}

/** Seconds from the spawn to the right answer. */
async function startAndAsk(store: StoreProcess, { source, timeUs }: Newest): Promise<number> {
  using http = new PeerHttp(store.http)
  const query = { kind: 'latest', stream: STREAM, sources: [source] }
  const startMs = performance.now()
  const ready = store.start()
  for (;;) {
    // Nobody listens before it is there.
    const answer = await http.answer(query).catch(() => undefined)
    const tookMs = performance.now() - startMs
    if (answer?.coverage.complete && answer.rows[0]?.timeUs === timeUs) {
      await ready
      return tookMs / 1000
    }
    if (tookMs > ANSWER_LIMIT_MS) {
      const why = answer === undefined ? 'it does not listen' : JSON.stringify(answer).slice(0, 300)
      throw new BenchError('BENCH_SYSTEM_FAILED', `a store gives no right answer: ${why}`)
    }
    await delay(LOOK_MS)
  }
}
