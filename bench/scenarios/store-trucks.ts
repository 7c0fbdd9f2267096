// What a row of seven values takes on the disk, as received in frames of 128 and after compaction, what is
// written for that, and how long hourly buckets over closed data take, before and after.
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BenchError } from '../errors.ts'
import { processCost } from '../measure/processes.ts'
import type { Section } from '../report/report.ts'
import { median, voidText, type Figure } from '../stats/figures.ts'
import { quantile } from '../store/at-times.ts'
import { CLOSING_BUCKET, compacted } from '../store/compaction.ts'
import { Feeder } from '../store/feeder.ts'
import type { FrameSet } from '../store/frames.ts'
import {
  TRUCK_FRAME_ROWS,
  TRUCK_START_US,
  TRUCK_STREAM,
  truckEndUs,
  truckFrames,
} from '../store/payloads.ts'
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

const TRUCKS = 100
const IN_FLIGHT_BYTES = 8 << 20
/** Whole frames. */
const QUICK = { rowsEach: 20 * TRUCK_FRAME_ROWS, queries: 3 }
const FULL = { rowsEach: 60 * TRUCK_FRAME_ROWS, queries: 10 }

export const trucks: StorePart = {
  name: 'trucks',

  async measure(bench) {
    const { runner, directory, blocks, options } = bench
    const { queries, rowsEach } = options.quick ? QUICK : FULL
    const set = truckFrames(join(directory, 'trucks.frames'), { trucks: TRUCKS, rowsEach })
    for (let block = 0; block < blocks; block++) {
      runner.signal.throwIfAborted()
      await measureRun(bench, { set, queries, rowsEach, block })
    }
    await rm(set.path)
  },

  section(runs): Section {
    return {
      title: 'Rows of trucks',
      finding:
        `${TRUCKS} trucks of the Time Series Benchmark Suite, seven values a row, ${TRUCK_FRAME_ROWS} rows a ` +
        'frame: what a sealed store takes of its disk, index and all; what its process handed to the block ' +
        'layer for each byte of frames, up to then; and avg, max and count of one field for each truck and ' +
        'hour, p50.',
      tables: [
        {
          columns: [
            { name: '' },
            { name: 'a row', unit: 'bytes' },
            { name: 'written', unit: '/ byte' },
            { name: 'hourly buckets', unit: 'ms' },
            { name: '' },
          ],
          rows: [
            ['the frames alone', median(runs, extra('frameRowBytes')), undefined, undefined, ''],
            [
              'as received',
              median(runs, extra('rowBytes')),
              median(runs, extra('writeAmplification')),
              median(runs, inMs('downsampleUs')),
              voidText(runs),
            ],
            [
              'compacted',
              median(runs, extra('rowBytesCompacted')),
              median(runs, extra('writeAmplificationCompacted')),
              median(runs, inMs('downsampleCompactedUs')),
              voidText(runs),
            ],
          ],
        },
      ],
    }
  },

  goals(runs): Goal[] {
    const goal = (what: string, most: number, name: string): Goal =>
      goalOf({ what, bound: 'most', goal: most, unit: 'bytes' }, runs, extra(name))
    return [
      goal('a truck row as received', 9, 'rowBytes'),
      goal('a truck row compacted', 8, 'rowBytesCompacted'),
    ]
  },
}

const inMs =
  (name: string): Figure =>
  (run) => {
    const us = run.extra?.[name]
    return us === undefined ? undefined : us / 1000
  }

interface RunOptions {
  readonly set: FrameSet
  readonly queries: number
  readonly rowsEach: number
  readonly block: number
}

async function measureRun(bench: StoreBench, options: RunOptions): Promise<void> {
  const { set, queries, rowsEach, block } = options
  const directory = join(bench.directory, 'trucks')
  const rows = TRUCKS * rowsEach
  await mkdir(directory)
  {
    await using store = await StoreProcess.start({
      name: 'storage-1',
      directory,
      copies: 1,
      settings: { 'storage.bucket': CLOSING_BUCKET, 'storage.compact': false },
    })
    await fill(store, set)
    const written = writtenBytes(store)
    await store.stop()
    const sealed = store.diskBytes()
    await store.start()
    const downsampleUs = await downsample(store, queries, rowsEach)
    await store.stop()
    await store.start({ 'storage.compact': true })
    await compacted(store)
    const writtenAgain = writtenBytes(store)
    const downsampleCompactedUs = await downsample(store, queries, rowsEach)
    await store.stop()
    const figures = {
      frameRowBytes: set.bytes / rows,
      rowBytes: sealed / rows,
      rowBytesCompacted: store.diskBytes() / rows,
      writeAmplification: written / set.bytes,
      writeAmplificationCompacted: (written + writtenAgain) / set.bytes,
      downsampleUs,
      downsampleCompactedUs,
    }
    bench.runner.runs.push(
      storeRun({
        cell: `trucks: ${TRUCKS}`,
        block,
        setting: { ...SYNCED, system: 'skein' },
        load: { sources: TRUCKS, samplesPerFrame: TRUCK_FRAME_ROWS, readings: 'trucks' },
        seed: bench.options.seed,
        extra: figures,
      }),
    )
    bench.runner.say(
      `  block ${block + 1}  trucks: a row ${shown(figures.frameRowBytes, '')}→ ` +
        `${shown(figures.rowBytes, '')}→ ${shown(figures.rowBytesCompacted, 'bytes')}, hourly buckets ` +
        `${shown(downsampleUs / 1000, '')}→ ${shown(downsampleCompactedUs / 1000, 'ms')}`,
    )
  }
  await rm(directory, { recursive: true })
}

async function fill(store: StoreProcess, set: FrameSet): Promise<void> {
  await using feeder = await Feeder.open({
    set,
    channel: store.channel(),
    stores: 1,
    inFlightBytes: IN_FLIGHT_BYTES,
    firstFrame: 0,
    endFrame: set.frames,
  })
  feeder.go()
  await feeder.until(({ isDone }) => isDone)
}

/** Since the process started. */
const writtenBytes = ({ process: { pid } }: StoreProcess): number =>
  processCost(pid)?.writtenBytes ?? 0

/** p50, µs; the first one is left out. */
async function downsample(store: StoreProcess, count: number, rowsEach: number): Promise<number> {
  using http = new PeerHttp(store.http)
  const query = {
    kind: 'downsample',
    stream: TRUCK_STREAM,
    from: `${TRUCK_START_US}us`,
    to: `${truckEndUs(rowsEach)}us`,
    every: '1h',
    aggregates: ['avg', 'max', 'count'],
    fields: ['velocity'],
  }
  const { rows } = await http.answer(query)
  const counted = rows.reduce((sum, { fields }) => sum + (fields['velocity']?.['count'] ?? 0), 0)
  if (counted !== TRUCKS * rowsEach) {
    throw new BenchError('BENCH_SYSTEM_FAILED', `hourly buckets count ${counted} rows`)
  }
  const tookUs: number[] = []
  for (let i = 0; i < count; i++) {
    const startMs = performance.now()
    await http.query(query)
    tookUs.push((performance.now() - startMs) * 1000)
  }
  return quantile(tookUs, 0.5)
}
