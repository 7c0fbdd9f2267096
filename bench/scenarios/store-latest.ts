// How long it takes to ask for the newest sample of a vehicle, and of a fleet of 10,000, when the store is
// idle and while samples come in.
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { BenchError } from '../errors.ts'
import type { Section } from '../report/report.ts'
import type { Run } from '../result.ts'
import { Accounts } from '../run/accounts.ts'
import { median, voidText, type Figure } from '../stats/figures.ts'
import { askAtTimes, quantile } from '../store/at-times.ts'
import { Feeder, FEED_NAME } from '../store/feeder.ts'
import type { FrameSet } from '../store/frames.ts'
import { payloadFrames, STREAM } from '../store/payloads.ts'
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

const VEHICLES = 10_000
const SAMPLES_PER_FRAME = 100
const SAMPLES_PER_SECOND = 200_000
const IN_FLIGHT_BYTES = 8 << 20
/** A store that took less of what was offered was not asked under that load. */
const SUSTAINED_SHARE = 0.95
const EVERY_MS = { vehicle: 10, fleet: 250 } as const
const QUICK = { vehicle: 200, fleet: 12, warmupSeconds: 1 }
const FULL = { vehicle: 1_000, fleet: 100, warmupSeconds: 3 }
const LOADS = ['idle', 'under ingest'] as const
type LoadName = (typeof LOADS)[number]

export const latest: StorePart = {
  name: 'latest',

  async measure(bench) {
    const { runner, directory, blocks, options } = bench
    const plan = planOf(bench)
    const seconds = Math.ceil(
      2 * plan.warmupSeconds +
        (plan.vehicle * EVERY_MS.vehicle + plan.fleet * EVERY_MS.fleet) / 1e3,
    )
    const framesEach = Math.ceil((seconds * SAMPLES_PER_SECOND) / SAMPLES_PER_FRAME / VEHICLES) + 1
    const set = payloadFrames(
      join(directory, 'latest.frames'),
      { readings: 'fleet', samplesPerFrame: SAMPLES_PER_FRAME },
      { sources: VEHICLES, seed: options.seed },
      { framesEach },
    )
    for (let block = 0; block < blocks; block++) {
      runner.signal.throwIfAborted()
      await measureBlock(bench, set, plan, block)
    }
    await rm(set.path)
  },

  section(runs): Section {
    const rows = LOADS.flatMap((load) =>
      WHATS.map((what) => {
        const of = runsOf(runs, load)
        return [
          what.name,
          load,
          median(of, inMs(`${what.key}P50Us`)),
          median(of, inMs(`${what.key}P99Us`)),
          median(of, extra('samplesPerSecond')),
          voidText(of),
        ]
      }),
    )
    return {
      title: 'Latest',
      finding:
        `Over HTTP at the store, one connection, all of the answer read; one vehicle asked for every ` +
        `${EVERY_MS.vehicle} ms, the fleet every ${EVERY_MS.fleet} ms, counted from when it was due. Under ` +
        `ingest: frames of ${SAMPLES_PER_FRAME} samples of those vehicles. Medians over blocks.`,
      tables: [
        {
          columns: [
            { name: 'newest sample of' },
            { name: '' },
            { name: 'p50', unit: 'ms' },
            { name: 'p99', unit: 'ms' },
            { name: 'ingested', unit: 'samples/s' },
            { name: '' },
          ],
          rows,
        },
      ],
    }
  },

  goals(runs): Goal[] {
    const busy = runsOf(runs, 'under ingest')
    const goals = WHATS.map(({ name, key, goalMs }) =>
      goalOf(
        { what: `latest of ${name}, under ingest, p50`, bound: 'most', goal: goalMs, unit: 'ms' },
        busy,
        inMs(`${key}P50Us`),
      ),
    )
    return busy.length === 0 ? [] : goals
  },
}

const WHATS = [
  { name: 'one vehicle', key: 'vehicle', goalMs: 2 },
  { name: `${VEHICLES.toLocaleString('en')} vehicles`, key: 'fleet', goalMs: 20 },
] as const

type Plan = typeof FULL

/** `--seconds`: of each of the four series of questions. */
const planOf = ({ options: { quick, seconds } }: StoreBench): Plan => {
  const plan = quick ? QUICK : FULL
  if (seconds === undefined) return plan
  const count = (most: number, everyMs: number): number =>
    Math.max(2, Math.min(most, Math.round((seconds * 1000) / everyMs)))
  return {
    vehicle: count(plan.vehicle, EVERY_MS.vehicle),
    fleet: count(plan.fleet, EVERY_MS.fleet),
    warmupSeconds: Math.min(plan.warmupSeconds, seconds),
  }
}

const runsOf = (runs: readonly Run[], load: LoadName): Run[] =>
  runs.filter(({ cell }) => cell === `latest: ${load}`)

const inMs =
  (name: string): Figure =>
  (run) => {
    const us = run.extra?.[name]
    return us === undefined ? undefined : us / 1000
  }

async function measureBlock(
  bench: StoreBench,
  set: FrameSet,
  plan: Plan,
  block: number,
): Promise<void> {
  const directory = join(bench.directory, 'latest')
  await mkdir(directory)
  {
    await using store = await StoreProcess.start({ name: 'storage-1', directory, copies: 1 })
    using http = new PeerHttp(store.http)
    await fillFleet(store, set)
    await checkFleet(http)
    // What the program compiles of its queries, it has compiled by then.
    await questions(http, { ...plan, vehicle: plan.vehicle / 4, fleet: plan.fleet / 4 })
    const measured = await questions(http, plan)
    keep(bench, 'idle', block, measured)
    await using feeder = await Feeder.open({
      ...feedOf(store, set),
      framesPerSecond: SAMPLES_PER_SECOND / SAMPLES_PER_FRAME,
      firstFrame: VEHICLES,
    })
    feeder.go()
    await feeder.until(({ ackedFrames }) => ackedFrames > 0)
    await delay(plan.warmupSeconds * 1000)
    const accounts = await Accounts.open([store.process], [{ name: FEED_NAME, pid: feeder.pid }])
    const from = await feeder.progress()
    const busy = await questions(http, plan)
    const to = await feeder.progress()
    const frames = to.ackedFrames - from.ackedFrames
    const cost = await accounts.close(to.ackedBytes - from.ackedBytes, frames)
    const samplesPerSecond = (frames * SAMPLES_PER_FRAME * 1e6) / (to.atUs - from.atUs)
    keep(bench, 'under ingest', block, busy, samplesPerSecond, cost)
  }
  await rm(directory, { recursive: true })
}

const feedOf = (store: StoreProcess, set: FrameSet) => ({
  set,
  channel: store.channel(),
  stores: 1,
  inFlightBytes: IN_FLIGHT_BYTES,
})

/** The first frame of each vehicle. */
async function fillFleet(store: StoreProcess, set: FrameSet): Promise<void> {
  await using feeder = await Feeder.open({
    ...feedOf(store, set),
    firstFrame: 0,
    endFrame: VEHICLES,
  })
  feeder.go()
  await feeder.until(({ isDone }) => isDone)
}

async function checkFleet(http: PeerHttp): Promise<void> {
  const { rows, coverage } = await http.answer(FLEET)
  if (rows.length === VEHICLES && coverage.complete) return
  throw new BenchError(
    'BENCH_SYSTEM_FAILED',
    `latest has ${rows.length} vehicles of ${VEHICLES}: ${coverage.reasons.join('; ')}`,
  )
}

const FLEET = { kind: 'latest', stream: STREAM }

interface Answered {
  readonly vehicleUs: readonly number[]
  readonly fleetUs: readonly number[]
}

async function questions(http: PeerHttp, { vehicle, fleet }: Plan): Promise<Answered> {
  const { rows } = await http.answer({ ...FLEET, limit: 1 })
  const one = { ...FLEET, sources: [rows[0]!.source] }
  return {
    vehicleUs: await askAtTimes(vehicle, EVERY_MS.vehicle, () => http.query(one)),
    fleetUs: await askAtTimes(fleet, EVERY_MS.fleet, () => http.query(FLEET)),
  }
}

function keep(
  { runner, options }: StoreBench,
  load: LoadName,
  block: number,
  { vehicleUs, fleetUs }: Answered,
  samplesPerSecond = 0,
  cost?: Run['cost'],
): void {
  const isIdle = load === 'idle'
  const isSustained = isIdle || samplesPerSecond >= SAMPLES_PER_SECOND * SUSTAINED_SHARE
  const taken = Math.round(samplesPerSecond).toLocaleString('en')
  const figures = {
    vehicleP50Us: quantile(vehicleUs, 0.5),
    vehicleP99Us: quantile(vehicleUs, 0.99),
    fleetP50Us: quantile(fleetUs, 0.5),
    fleetP99Us: quantile(fleetUs, 0.99),
    ...(!isIdle && { samplesPerSecond }),
  }
  runner.runs.push(
    storeRun({
      cell: `latest: ${load}`,
      block,
      setting: { ...SYNCED, system: 'skein' },
      load: {
        sources: VEHICLES,
        samplesPerFrame: SAMPLES_PER_FRAME,
        publishers: isIdle ? 0 : 1,
        ...(!isIdle && { rate: SAMPLES_PER_SECOND }),
      },
      seed: options.seed,
      samplesPerSecond,
      isSustained,
      voids: isSustained ? [] : [`only ${taken} samples/s were taken`],
      ...(cost && { cost }),
      extra: figures,
    }),
  )
  const { vehicleP50Us, vehicleP99Us, fleetP50Us, fleetP99Us } = figures
  runner.say(
    `  block ${block + 1}  latest, ${load}: one vehicle p50 ${shown(vehicleP50Us / 1000, 'ms')} p99 ` +
      `${shown(vehicleP99Us / 1000, 'ms')}, ${VEHICLES} p50 ${shown(fleetP50Us / 1000, 'ms')} p99 ` +
      `${shown(fleetP99Us / 1000, 'ms')}${isIdle ? '' : `, ${taken} samples/s`}`,
  )
}
