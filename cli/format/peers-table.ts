// The peers of a mesh as `skein peers` shows them: one row each, stores first.
import { takersNow, type MeshIdentity, type PeerView, type StoreView } from '../../mesh/index.ts'
import type { RefillProgress } from '../../storage/index.ts'
import { byName } from './by-name.ts'
import type { Paint } from './paint.ts'
import { shortAddress } from './short-address.ts'
import { table, type Column } from './table.ts'
import { byteRate, clock, count } from './units.ts'

export interface PeerRow {
  readonly name: string | undefined
  readonly roles: readonly string[]
  /** `alive`, `suspect`, `leaving`, or why it does not acknowledge. */
  readonly state: string
  /** Since it was last heard, itself or by hearsay; absent for a store nobody has heard of. */
  readonly lastSeenMs: number | undefined
  readonly transport: string | undefined
  /** Processes it is linked with; absent where a broker stands between. */
  readonly links: number | undefined
  /** Shards it owns, and those it takes for stores that are away. */
  readonly shards: number | undefined
  /** Frames it should hold and does not yet. */
  readonly lagFrames: number | undefined
  /** How far fetching those from other stores has come; absent while there are none. */
  readonly refill?: RefillProgress
  readonly storeId: string | undefined
  readonly endpoint: string | undefined
  readonly http: string | undefined
}

export function peerRows(
  { replicas }: Pick<MeshIdentity, 'replicas'>,
  stores: readonly StoreView[],
  peers: readonly PeerView[],
): PeerRow[] {
  const shards = shardCounts(stores, replicas)
  const storeRows = stores.toSorted(byName).map((store): PeerRow => {
    const peer = peers.find(({ id }) => id === store.peer)
    const { storeId, http, name } = store
    const owned = shards.get(storeId) ?? 0
    return {
      ...rowOf(peer),
      name,
      roles: ['storage'],
      state: stateOf(store),
      shards: owned,
      storeId,
      http,
    }
  })
  const others = peers.filter(({ storeId }) => storeId === undefined).toSorted(byName)
  return [...storeRows, ...others.map(rowOf)]
}

/** States that need no more words. */
const PLAIN_STATES = new Set(['alive', 'suspect', 'leaving'])

/** The lines of the table; below it, why stores refuse and how far they have refilled. */
export function peersTable(rows: readonly PeerRow[], paint: Paint): string[] {
  const columns: readonly Column<PeerRow>[] = [
    { title: 'name', value: ({ name }) => name ?? '-' },
    { title: 'role', value: ({ roles }) => roles.join('+') },
    {
      title: 'state',
      value: ({ state }) =>
        paint(state === 'alive' ? 'green' : 'red', PLAIN_STATES.has(state) ? state : 'refuses'),
    },
    number(
      'last seen',
      ({ lastSeenMs }) => lastSeenMs,
      (ms) => `${clock(ms)} ago`,
    ),
    { title: 'transport', value: ({ transport }) => transport ?? '-' },
    number('links', ({ links }) => links, count),
    number('shards', ({ shards }) => shards, count),
    number('lag', ({ lagFrames }) => lagFrames, count),
    { title: 'store', value: ({ storeId }) => storeId ?? '-' },
    { title: 'http', value: ({ http }) => shortAddress(http ?? '-') },
  ]
  const reasons = rows.filter(({ state }) => !PLAIN_STATES.has(state))
  return [
    ...table(rows, columns, { paint }),
    ...reasons.map(({ name, storeId, state }) => `${name ?? storeId} refuses: ${state}`),
    ...rows.flatMap(({ name, storeId, refill }) =>
      refill === undefined ? [] : `${name ?? storeId} ${refillText(refill)}`,
    ),
  ]
}

/** `refilling: 12,400 of 80,000 frames, 3,100/s (15.1 MiB/s), about 22s left`. */
function refillText(refill: RefillProgress): string {
  const { pulledFrames, framesLeft, framesPerSecond, bytesPerSecond, secondsLeft } = refill
  const whole = (value: number): string => Math.round(value).toLocaleString('en')
  const done = `refilling: ${whole(pulledFrames)} of ${whole(pulledFrames + framesLeft)} frames`
  if (secondsLeft === undefined) return `${done}, nothing comes just now`
  const left = clock(Math.ceil(secondsLeft) * 1000)
  return `${done}, ${whole(framesPerSecond)}/s (${byteRate(bytesPerSecond)}), about ${left} left`
}

function number(
  title: string,
  value: (row: PeerRow) => number | undefined,
  text: (value: number) => string,
): Column<PeerRow> {
  const cell = (row: PeerRow): string => {
    const found = value(row)
    return found === undefined ? '-' : text(found)
  }
  return { title, align: 'right', value: cell }
}

function rowOf(peer: PeerView | undefined): PeerRow {
  return {
    name: peer?.name,
    roles: peer?.roles ?? [],
    state: peer?.suspect === true ? 'suspect' : 'alive',
    lastSeenMs: peer === undefined ? undefined : Math.round(peer.heardMsAgo),
    transport: peer?.transport,
    links: peer?.links,
    shards: undefined,
    lagFrames: peer?.lagFrames,
    storeId: undefined,
    endpoint: peer?.endpoint,
    http: peer?.http,
  }
}

function stateOf({ leaving, suspect, refusing }: StoreView): string {
  if (leaving) return 'leaving'
  return suspect ? 'suspect' : (refusing ?? 'alive')
}

function shardCounts(stores: readonly StoreView[], replicas: number): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const storeId of takersNow(stores, replicas).flat())
    counts.set(storeId, (counts.get(storeId) ?? 0) + 1)
  return counts
}
