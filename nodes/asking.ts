// Asking from outside: joins without a role, waits until one storage peer is known, and hands out an
// asker that reaches all of them.
import { setTimeout as delay } from 'node:timers/promises'
import { isHttpTransport, systemClock, type Session } from '../mesh/index.ts'
import {
  Asker,
  fetchOver,
  PeerClient,
  StorageError,
  type Fetch,
  type StoreView,
} from '../storage/index.ts'
import type { Config } from './config/config.ts'
import { givenUp } from './given-up.ts'
import { meshInQuestion, whereabouts } from './whereabouts.ts'
import { openSession, type NodeSessionOptions } from './session.ts'

const FIRST_PEER_MS = 5_000
/** A busy broker may take longer to begin to give what is announced. */
const FIRST_PEER_BROKER_MS = 15_000
const LOOK_MS = 10

export interface Asking extends AsyncDisposable {
  readonly session: Session
  readonly asker: Asker
}

/** @throws StorageError QUERY_NO_PEER when no storage peer answers within 5 s; 15 s through a broker. */
export async function openAsking(
  config: Config,
  options: NodeSessionOptions = {},
): Promise<Asking> {
  const session = await openSession(config, options)
  try {
    await someStore(session, config)
  } catch (error) {
    await session.close()
    throw error
  }
  return { session, asker: askFrom(session), [Symbol.asyncDispose]: () => session.close() }
}

/** An asker of the stores that a session knows, whatever else that session is for. */
export function askFrom(session: Session): Asker {
  return new Asker({
    stores: () => storeView(session),
    clock: systemClock,
    connect: storeConnector(session),
  })
}

/** How a session reaches a store behind its HTTP address. */
export function storeConnector(session: Session): (http: string) => PeerClient {
  const over = fetchFor(session)
  return (http) => new PeerClient({ http, clock: systemClock, fetch: over })
}

/** fetch() for what peers announce: URLs, and endpoints of a transport that carries HTTP itself. */
export function fetchFor({ transport }: Session): Fetch {
  if (!isHttpTransport(transport)) return fetch
  const over = fetchOver((endpoint) => transport.connectHttp(endpoint))
  return (url, init) => (url.startsWith('http') ? fetch : over)(url, init)
}

/** The stores as an asker wants them. */
export function storeView({ membership, mesh }: Session): StoreView {
  const table = membership.members()
  const members = [...table].map(([storeId, state]) => ({
    storeId,
    state,
    http: membership.storeView(storeId).http,
  }))
  return { members, writeQuorum: mesh.writeQuorum }
}

async function someStore({ membership, transport }: Session, config: Config): Promise<void> {
  const startMs = systemClock.monotonicMs()
  const { brokered } = transport.capabilities
  while (!membership.stores().some(({ http }) => http !== undefined)) {
    const isTalking = brokered && transport.trouble() === undefined
    const patienceMs = isTalking ? FIRST_PEER_BROKER_MS : FIRST_PEER_MS
    if (systemClock.monotonicMs() - startMs > patienceMs) {
      throw new StorageError(
        'QUERY_NO_PEER',
        `no storage peer answered ${whereabouts(config)} within ${patienceMs / 1000} s: ` +
          whyNone(transport.trouble(), config),
        { retryable: true, details: { seeds: config.seeds, mesh: config.mesh.name } },
      )
    }
    await delay(LOOK_MS)
  }
}

function whyNone(trouble: string | undefined, config: Config): string {
  if (trouble !== undefined) return givenUp(trouble)
  return (
    'is the mesh running (npm start), does --seed, --transport or --data name it, and is ' +
    `${meshInQuestion(config)}?`
  )
}
