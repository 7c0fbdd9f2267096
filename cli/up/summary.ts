// The last word of `skein up`: what was published, and what the stores say they have of it. The count
// comes from a query to the stores, not from anybody's counters.
import { epochStartUs, IntervalSet, systemClock } from '../../mesh/index.ts'
import { openAsking, type Config, type StorageStats } from '../../nodes/index.ts'
import { FLEET_STREAM } from '../../sim/index.ts'
import {
  fetchStoreStatus,
  parseQuery,
  type BucketRow,
  type Coverage,
  type Row,
} from '../../storage/index.ts'
import { counted } from '../counted.ts'
import { bytes, count, durationUs } from '../format/units.ts'
import type { Quantiles } from './child-messages.ts'
import { quantiles } from './histogram.ts'
import type { LocalMesh } from './local-mesh.ts'

export interface Summary {
  readonly samples: {
    readonly published: number
    /** By the stores' own count; null when they could not be asked. */
    readonly stored: number | null
    readonly duplicates: number
    readonly gaps: number
    readonly refused: number
    readonly dropped: number
    /** Published by the aggregator. */
    readonly derived: number
  }
  readonly latencyUs: { readonly live: Quantiles; readonly stored: Quantiles }
  readonly bytes: {
    /** Of this run's frames, all copies. */
    readonly stored: number
    readonly perSample: number
    /** Of everything in the data directory. */
    readonly disk: number
  }
  readonly complete: boolean
  readonly peers: readonly PeerSummary[]
}

type PeerSummary = { readonly name: string; readonly http: string | undefined } & StorageStats

/** Frames of this run have epochs from its start on; clocks of processes on one machine agree better. */
const EPOCH_SLACK_US = 1_000

export async function summarise(
  mesh: LocalMesh,
  config: Config,
  timeoutMs: number,
): Promise<Summary> {
  const { published, refused, dropped } = mesh.fleet
  const signal = AbortSignal.timeout(timeoutMs)
  // Stores that do not answer leave the count open; what was published is known all the same.
  const [counted, peers] = await Promise.all([
    orUndefined(countStored(mesh, config, published, signal), signal),
    peersOf(mesh, signal),
  ])
  const written = sum(peers, ({ writtenBytes }) => writtenBytes)
  const copies = sum(peers, ({ writtenSamples }) => writtenSamples)
  return {
    samples: {
      published,
      stored: counted === undefined ? null : Math.min(counted.stored, published),
      duplicates: Math.max(0, (counted?.stored ?? 0) - published),
      gaps: openHoles(counted?.coverage, mesh.startedUs),
      refused,
      dropped,
      derived: sum([...mesh.derived.values()], ({ results }) => results),
    },
    latencyUs: { live: quantiles(mesh.liveUs), stored: mesh.storedUs },
    bytes: {
      stored: written,
      perSample: copies === 0 ? 0 : Math.round((written / copies) * 10) / 10,
      disk: sum(peers, ({ diskBytes }) => diskBytes),
    },
    complete: counted?.coverage?.complete ?? published === 0,
    peers,
  }
}

/** Two lines for people. */
export function summaryLines({ samples, latencyUs, bytes: size, complete }: Summary): string[] {
  const { published, stored, duplicates, gaps, refused, dropped, derived } = samples
  const kept = stored === null ? 'the stores could not be asked what they hold' : `${stored} stored`
  const whole = stored === null ? '' : complete ? ', complete' : ', NOT complete'
  const lost = refused + dropped === 0 ? '' : `, ${refused} refused, ${dropped} dropped`
  const { live, stored: acked } = latencyUs
  return [
    `${counted(published, 'sample')} published, ${kept} (${counted(duplicates, 'duplicate')}, ` +
      `${counted(gaps, 'gap')}${whole})` +
      `${lost}${derived === 0 ? '' : `, ${derived} derived`}`,
    ...(published === 0
      ? []
      : [`live p50 ${p50p99(live)}   stored p50 ${p50p99(acked)}   ${sizeText(size)}`]),
  ]
}

function p50p99({ p50, p99 }: Quantiles): string {
  return `${durationUs(p50)} p99 ${durationUs(p99)}`
}

function sizeText({ disk, perSample }: Summary['bytes']): string {
  return `${bytes(disk)} on disk, ${count(perSample)} bytes a sample`
}

/** Asked once more at the end: what the nodes told last may be half a second old. */
async function peersOf(mesh: LocalMesh, signal: AbortSignal): Promise<PeerSummary[]> {
  const peers = mesh.nodes.map(async ({ name, http }): Promise<PeerSummary[]> => {
    const stats = mesh.stores.get(name)
    if (stats === undefined) return []
    const fresh = http && (await orUndefined(fetchStoreStatus(http), signal))
    if (!fresh) return [{ name, http, ...stats }]
    const { acknowledges: _, refusing: __, ...counts } = fresh
    return [{ name, http, ...stats, ...counts }]
  })
  return (await Promise.all(peers)).flat()
}

/** Undefined when it fails, or is not there by the signal. */
async function orUndefined<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  const late = new Promise<undefined>((resolve) => {
    signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
  return await Promise.race([promise.catch(() => undefined), late])
}

async function countStored(
  mesh: LocalMesh,
  config: Config,
  published: number,
  signal: AbortSignal,
): Promise<{ stored: number; coverage?: Coverage }> {
  if (published === 0) return { stored: 0 }
  await using asking = await openAsking({ ...config, ...mesh.reach })
  const query = parseQuery(
    {
      kind: 'downsample',
      stream: FLEET_STREAM,
      fields: ['latitude'],
      by: 'stream',
      from: mesh.startedUs,
      to: systemClock.nowUs() + 1e6,
      every: '1d',
      aggregates: ['count'],
    },
    systemClock.nowUs(),
  )
  const answer = await asking.asker.ask(query, signal)
  let stored = 0
  for await (const row of answer.rows) stored += countOf(row)
  return { stored, coverage: await answer.coverage }
}

function countOf(row: Row | BucketRow): number {
  const { latitude } = row.fields
  return typeof latitude === 'object' ? Number(latitude.count ?? 0) : 0
}

/** Sequences of this run that are not in the answer and that nobody has accounted for. */
function openHoles(coverage: Coverage | undefined, startedUs: number): number {
  let holes = 0
  for (const { epoch, missing, lost, unreachable } of coverage?.gaps ?? []) {
    if (epochStartUs(epoch) < startedUs - EPOCH_SLACK_US) continue
    for (const runs of [missing, lost, unreachable]) holes += new IntervalSet(runs).size
  }
  return holes
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}
