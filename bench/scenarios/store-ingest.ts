// How many bytes a second are acknowledged as synced: one storage peer, beside brokers fed the same frames
// by a client with as many bytes in flight, and beside the disk alone.
import { setTimeout as delay } from 'node:timers/promises'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PAYLOAD_NAMES, type PayloadName } from '../options.ts'
import type { Cell, Point, Section } from '../report/report.ts'
import type { Cost, Run } from '../result.ts'
import { Accounts } from '../run/accounts.ts'
import { bareDisk } from '../store/bare-disk.ts'
import { Feeder, FEED_NAME } from '../store/feeder.ts'
import type { FrameSet } from '../store/frames.ts'
import { putMemoryInPlace } from '../store/memory.ts'
import { PAYLOAD_OF, payloadFrames } from '../store/payloads.ts'
import { StoreProcess } from '../store/store-process.ts'
import {
  compare,
  counts,
  floorOf,
  floorText,
  median,
  ratioText,
  voidText,
  type Figure,
} from '../stats/figures.ts'
import { CONTROL } from '../stats/by-cell.ts'
import { pairedRatio } from '../stats/ratio.ts'
import type { BenchSystemName, Channel, ServerProcess, Setting } from '../systems/system.ts'
import {
  extra,
  shown,
  storeRun,
  SYNCED,
  type Goal,
  type StoreBench,
  type StorePart,
} from './store-part.ts'

const SOURCES = 100
/** Without their ack, in each system. */
const IN_FLIGHT_BYTES = 8 << 20
/** In the memory of the client at most; what is sent beyond it copies. */
const SET_BYTES_MAX = 2e9
/** Rehearsed until a JVM that has just started has compiled what it needs most. */
const QUICK = { rehearsalSeconds: 4, warmupSeconds: 1, seconds: 2, bareSeconds: 0.5 }
const FULL = { rehearsalSeconds: 4, warmupSeconds: 2, seconds: 4, bareSeconds: 1 }
/** What none of the systems exceeds here. */
const WRITTEN_BYTES_PER_SECOND = 450e6
const STEAL_MAX = 0.05

type Place = BenchSystemName | typeof CONTROL

export const ingest: StorePart = {
  name: 'ingest',

  async measure(bench) {
    const { runner, systems, blocks } = bench
    const plan = planOf(bench)
    const payloads = bench.options.payloads ?? PAYLOAD_NAMES
    const sets = new Map(payloads.map((payload) => [payload, setOf(bench, payload, plan)]))
    for (const system of systems.filter((name) => name !== 'skein')) {
      runner.signal.throwIfAborted()
      runner.say(`rehearsing ${system}`)
      const set = sets.get(payloads[0]!)!
      await measureOnce(bench, { system, set, plan: { ...plan, seconds: plan.rehearsalSeconds } })
    }
    for (let block = 0; block < blocks; block++) {
      for (const [payload, set] of sets) {
        const places: readonly Place[] = blocks > 1 ? [...systems, CONTROL] : systems
        // Another one is the first in each block.
        for (let i = 0; i < places.length; i++) {
          const place = places[(block + i) % places.length]!
          runner.signal.throwIfAborted()
          const run = await measureRun(bench, { place, payload, set, plan, block })
          runner.runs.push(run)
          runner.say(progressLine(run))
        }
      }
    }
    for (const { path } of sets.values()) await rm(path)
    // Idle brokers take from what is measured next.
    await runner.keepOnly([])
  },

  section: (runs) => ingestSection(runs),
  goals: (runs) => ingestGoals(runs),
}

type Plan = typeof FULL

const planOf = ({ options: { quick, seconds } }: StoreBench): Plan => {
  const plan = quick ? QUICK : FULL
  if (seconds === undefined) return plan
  const short = (most: number): number => Math.min(most, seconds)
  return {
    rehearsalSeconds: short(plan.rehearsalSeconds),
    warmupSeconds: short(plan.warmupSeconds),
    seconds,
    bareSeconds: short(plan.bareSeconds),
  }
}

function setOf({ directory, options: { seed } }: StoreBench, name: PayloadName, plan: Plan) {
  const payload = PAYLOAD_OF[name]
  const most = payload.mostPerSecond * (plan.warmupSeconds + plan.seconds)
  const bytes = Math.min(most, SET_BYTES_MAX)
  const path = join(directory, `${name}.frames`)
  return payloadFrames(path, payload, { sources: SOURCES, seed }, { bytes })
}

interface RunOptions {
  readonly place: Place
  readonly payload: PayloadName
  readonly set: FrameSet
  readonly plan: Plan
  readonly block: number
}

async function measureRun(bench: StoreBench, options: RunOptions): Promise<Run> {
  const { place, payload, set, plan, block } = options
  const system = place === CONTROL ? 'skein' : place
  const before = bareDisk(bench.directory, plan.bareSeconds)
  const { cost, frames, bytes, seconds } = await measureOnce(bench, { system, set, plan })
  const after = bareDisk(bench.directory, plan.bareSeconds)
  const client = cost.cpuSeconds[FEED_NAME] ?? 0
  const servers = Object.values(cost.cpuSeconds).reduce((sum, cpu) => sum + cpu, 0) - client
  return storeRun({
    cell: `ingest: ${place}, ${payload}`,
    block,
    setting: settingOf(system),
    load: {
      sources: SOURCES,
      samplesPerFrame: set.samplesPerFrame,
      readings: PAYLOAD_OF[payload].readings,
      warmupSeconds: plan.warmupSeconds,
      seconds: plan.seconds,
    },
    seed: bench.options.seed,
    samplesPerSecond: (frames / seconds) * set.samplesPerFrame,
    cost,
    voids: voidsOf(cost, bytes),
    extra: {
      bytesPerSecond: bytes / seconds,
      framesPerSecond: frames / seconds,
      frameBytes: set.bytes / set.frames,
      clientCores: client / cost.seconds,
      serverCores: servers / cost.seconds,
      writeAmplification: cost.writtenBytes / bytes,
      bareBeforeBytesPerSecond: before,
      bareAfterBytesPerSecond: after,
    },
  })
}

/** An fsync vouches for no more than was under way. */
function voidsOf({ fsyncs, stealShare }: Cost, bytes: number): string[] {
  const voids: string[] = []
  if (fsyncs !== undefined && fsyncs < Math.floor(bytes / IN_FLIGHT_BYTES)) {
    voids.push(`${fsyncs} fsyncs for ${Math.round(bytes / 1e6)} MB: it does not sync what it says`)
  }
  if (stealShare > STEAL_MAX)
    voids.push(`${Math.round(stealShare * 100)} % of the machine was given to others`)
  return voids
}

interface Measured {
  readonly cost: Cost
  readonly frames: number
  readonly bytes: number
  readonly seconds: number
}

async function measureOnce(
  bench: StoreBench,
  { system, set, plan }: Pick<RunOptions, 'set' | 'plan'> & { readonly system: BenchSystemName },
): Promise<Measured> {
  await using server = await serverOf(bench, system)
  await using feeder = await Feeder.open({
    set,
    channel: server.channel,
    stores: 1,
    inFlightBytes: IN_FLIGHT_BYTES,
    firstFrame: 0,
  })
  putMemoryInPlace(bench.directory, (plan.warmupSeconds + plan.seconds) * WRITTEN_BYTES_PER_SECOND)
  feeder.go()
  await feeder.until(({ ackedFrames }) => ackedFrames > 0)
  await delay(plan.warmupSeconds * 1000)
  const accounts = await Accounts.open(server.processes(), [{ name: FEED_NAME, pid: feeder.pid }])
  const from = await feeder.progress()
  await delay(plan.seconds * 1000)
  const to = await feeder.progress()
  const [frames, bytes] = [to.ackedFrames - from.ackedFrames, to.ackedBytes - from.ackedBytes]
  const cost = await accounts.close(bytes, frames)
  return { cost, frames, bytes, seconds: (to.atUs - from.atUs) / 1e6 }
}

interface Server extends AsyncDisposable {
  readonly channel: Channel
  processes(): readonly ServerProcess[]
}

/** Brokers go on with a new topic or stream; a store is a new one, on an empty disk. */
async function serverOf(bench: StoreBench, system: BenchSystemName): Promise<Server> {
  const { runner } = bench
  if (system !== 'skein') {
    const deployment = await runner.deployment(settingOf(system))
    const channel = await deployment.channel(settingOf(system), runner.channelName())
    return { channel, processes: () => deployment.servers(), [Symbol.asyncDispose]: async () => {} }
  }
  const directory = join(bench.directory, 'ingest')
  await mkdir(directory)
  const store = await StoreProcess.start({ name: 'storage-1', directory, copies: 1 })
  return {
    channel: store.channel(),
    processes: () => [store.process],
    async [Symbol.asyncDispose]() {
      await store.stop()
      await rm(directory, { recursive: true })
    },
  }
}

/** Large batches; of Skein nothing is tuned but the publisher, which is not here. */
const settingOf = (system: BenchSystemName): Setting => ({
  ...SYNCED,
  system,
  tuning: system === 'skein' ? 'default' : 'throughput',
})

function progressLine({ block, cell, extra: figures, voids }: Run): string {
  const rate = shown(figures!['bytesPerSecond']! / 1e6, 'MB/s')
  const [before, after] = [
    figures!['bareBeforeBytesPerSecond']!,
    figures!['bareAfterBytesPerSecond']!,
  ]
  const disk = `, the disk alone ${shown(before / 1e6, '')}→ ${shown(after / 1e6, 'MB/s')}`
  const cores =
    `servers ${shown(figures!['serverCores']!, 'cores')}, ` +
    `client ${shown(figures!['clientCores']!, 'cores')}`
  const isVoid = voids.length === 0 ? '' : `  VOID: ${voids.join('; ')}`
  return `  block ${block + 1}  ${cell}: ${rate}${disk}, ${cores}${isVoid}`
}

const BYTES = extra('bytesPerSecond')
const BARE_BYTES: Figure = ({ extra: figures }) => {
  const [before, after] = [
    figures?.['bareBeforeBytesPerSecond'],
    figures?.['bareAfterBytesPerSecond'],
  ]
  return before === undefined || after === undefined ? undefined : (before + after) / 2
}
const MEGABYTES: Figure = (run) => {
  const bytes = BYTES(run)
  return bytes === undefined ? undefined : bytes / 1e6
}
const FSYNC_BYTES: Figure = ({ cost }) =>
  cost.fsyncs === undefined || cost.fsyncs === 0 ? undefined : cost.sentBytes / cost.fsyncs / 1024

/** By payload, then by system in the order they were given. */
function byPayload(runs: readonly Run[]): Map<PayloadName, Map<string, Run[]>> {
  const place = ({ cell }: Run): string => cell.slice('ingest: '.length).split(', ')[0]!
  return new Map(
    PAYLOAD_NAMES.flatMap((payload) => {
      const own = runs.filter(({ cell }) => cell.endsWith(`, ${payload}`))
      const places = Map.groupBy(own, place)
      return places.size === 0 ? [] : [[payload, places] as const]
    }),
  )
}

/** Skein over the disk alone, as it was just before and after each run. */
function overDisk(runs: readonly Run[]) {
  const own = runs.filter(counts)
  const ratio = pairedRatio(
    own.map((run) => BYTES(run)!),
    own.map((run) => BARE_BYTES(run)!),
  )
  return ratio && { ...ratio, verdict: 'slower' as const }
}

function ingestSection(runs: readonly Run[]): Section {
  const rows: Cell[][] = []
  const points = new Map<string, Point[]>()
  for (const [payload, places] of byPayload(runs)) {
    const skein = places.get('skein') ?? []
    const control = places.get(CONTROL) ?? []
    const floor = floorOf(skein, control, BYTES)
    const disk = median(skein, BARE_BYTES)
    for (const [place, own] of places) {
      if (place === CONTROL) continue
      const isSkein = own === skein
      rows.push([
        payload,
        place,
        median(own, extra('frameBytes')),
        median(own, MEGABYTES),
        median(own, extra('framesPerSecond')),
        isSkein ? floorText(floor, control) : ratioText(compare(skein, own, BYTES, floor)),
        median(own, extra('serverCores')),
        median(own, extra('clientCores')),
        median(own, FSYNC_BYTES),
        median(own, extra('writeAmplification')),
        voidText(own),
      ])
      const y = median(own, MEGABYTES)
      if (y !== undefined) points.set(place, [...(points.get(place) ?? []), { x: payload, y }])
    }
    if (disk !== undefined) {
      const y = disk / 1e6
      const ratio = ratioText(overDisk(skein))
      const none: Cell[] = [undefined, undefined, undefined, undefined, '']
      rows.push([payload, 'the disk alone', undefined, y, undefined, ratio, ...none])
      points.set('the disk alone', [...(points.get('the disk alone') ?? []), { x: payload, y }])
    }
  }
  const columns = [
    { name: 'payload' },
    { name: 'system' },
    { name: 'frame', unit: 'bytes' },
    { name: 'synced', unit: 'MB/s' },
    { name: 'frames', unit: '/s' },
    { name: 'skein over it', unit: 'ratio' },
    { name: 'servers', unit: 'cores' },
    { name: 'client', unit: 'cores' },
    { name: 'a sync', unit: 'KiB' },
    { name: 'written', unit: '/ byte' },
    { name: '' },
  ]
  const series = [...points].map(([name, of]) => ({ name, points: of }))
  return {
    title: 'Acknowledged and synced',
    finding:
      `Frames made beforehand, of ${SOURCES} sources, the same bytes for all; ${IN_FLIGHT_BYTES >> 20} MiB ` +
      'without their ack. Medians over blocks; above 1 Skein is faster, ≈ is no difference, in its own row ' +
      'the noise. The disk alone is a loop of writev and fdatasync of 256 KiB just before and after each run of Skein. ' +
      'Memory for what is written is put in place before each run: a virtual machine may have given it back. ' +
      'Written: what the servers handed to the block layer, for each byte of frames acknowledged.',
    tables: [{ columns, rows }],
    plots: [
      {
        title: 'Acknowledged and synced',
        kind: 'bars',
        x: { label: 'payload' },
        y: { label: 'synced', unit: 'MB/s' },
        series,
      },
    ],
  }
}

function ingestGoals(runs: readonly Run[]): Goal[] {
  const places = byPayload(runs).get('blocks')
  const skein = places?.get('skein')
  if (places === undefined || skein === undefined) return []
  const goal = (what: string, least: number, ratio: ReturnType<typeof compare>): Goal => ({
    what,
    bound: 'least',
    goal: least,
    unit: 'ratio',
    measured: ratio?.ratio,
    spread: ratioText(ratio),
  })
  const kafka = places.get('kafka')
  return [
    ...(kafka === undefined
      ? []
      : [goal('synced bytes/s over Kafka, frames of 5 KB', 1.5, compare(skein, kafka, BYTES))]),
    goal('synced bytes/s over the disk alone, frames of 5 KB', 0.5, overDisk(skein)),
  ]
}
