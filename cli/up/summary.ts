// The last word of `skein up`: what was published, and what the stores say they have of it. The count
// comes from a query to the stores, not from anybody's counters.
import { systemClock } from '../../mesh/index.ts'
import { openAsking, type Config } from '../../nodes/index.ts'
import { FLEET_STREAM } from '../../sim/index.ts'
import { parseQuery, type BucketRow, type Coverage, type Row } from '../../storage/index.ts'
import type { Quantiles } from './child-messages.ts'
import { quantiles } from './histogram.ts'
import type { LocalMesh } from './local-mesh.ts'

export interface Summary {
  readonly samples: {
    readonly published: number
    readonly stored: number
    readonly duplicates: number
    readonly gaps: number
    readonly refused: number
    readonly dropped: number
  }
  readonly latencyUs: { readonly live: Quantiles; readonly stored: Quantiles }
  readonly bytes: { readonly stored: number; readonly perSample: number }
  readonly complete: boolean
  readonly peers: readonly unknown[]
}

export async function summarise(mesh: LocalMesh, config: Config): Promise<Summary> {
  const published = mesh.fleet?.published ?? 0
  const { stored, coverage } = await countStored(mesh, config, published)
  const peers = [...mesh.stores].map(([name, stats]) => ({ name, ...stats }))
  const bytes = peers.reduce((sum, peer) => sum + peer.bytes, 0)
  const copies = peers.reduce((sum, peer) => sum + peer.samples, 0)
  return {
    samples: {
      published,
      stored: Math.min(stored, published),
      duplicates: Math.max(0, stored - published),
      gaps: openHoles(coverage),
      refused: mesh.fleet?.refused ?? 0,
      dropped: mesh.fleet?.dropped ?? 0,
    },
    latencyUs: { live: quantiles(mesh.liveUs), stored: mesh.storedUs },
    bytes: { stored: bytes, perSample: copies === 0 ? 0 : Math.round((bytes / copies) * 10) / 10 },
    complete: coverage?.complete ?? false,
    peers,
  }
}

async function countStored(
  mesh: LocalMesh,
  config: Config,
  published: number,
): Promise<{ stored: number; coverage?: Coverage }> {
  if (published === 0) return { stored: 0 }
  await using asking = await openAsking({ ...config, seeds: mesh.seeds })
  const query = parseQuery(
    {
      ...{ kind: 'downsample', stream: FLEET_STREAM, fields: ['latitude'], by: 'stream' },
      // Nothing else of this stream has event times in the lifetime of this run.
      ...{ from: mesh.startedUs, to: systemClock.nowUs() + 1_000_000, every: '1d' },
      aggregates: ['count'],
    },
    systemClock.nowUs(),
  )
  const answer = await asking.asker.ask(query, AbortSignal.timeout(60_000))
  let stored = 0
  for await (const row of answer.rows) stored += countOf(row)
  return { stored, coverage: await answer.coverage }
}

function countOf(row: Row | BucketRow): number {
  const { latitude } = row.fields
  return typeof latitude === 'object' ? Number(latitude.count ?? 0) : 0
}

/** Sequences that are not in the answer and that nobody has accounted for. */
function openHoles(coverage: Coverage | undefined): number {
  let holes = 0
  for (const { missing, lost, unreachable } of coverage?.gaps ?? []) {
    for (const runs of [missing, lost, unreachable]) {
      for (let i = 0; i < runs.length; i += 2) holes += runs[i + 1]! - runs[i]! + 1
    }
  }
  return holes
}
