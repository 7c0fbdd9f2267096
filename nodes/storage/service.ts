// What a storage peer serves over HTTP: queries for the whole mesh, its frames for other stores, its
// health and its numbers, and the request that ends a store's membership.
import { isHttpTransport, systemClock, type StoreId } from '../../mesh/index.ts'
import {
  Asker,
  createPeerServer,
  StorageError,
  type Health,
  type LocalPeer,
  type MetricsSource,
  type PeerServer,
} from '../../storage/index.ts'
import { storeConnector, storeView } from '../asking.ts'
import type { Config } from '../config/config.ts'
import { listenError } from '../listening.ts'
import type { Place } from './place.ts'

export interface ServiceOptions {
  readonly config: Config
  readonly place: Place
  readonly peer: LocalPeer
  readonly metrics: MetricsSource
  readonly health: () => Promise<Health>
}

/** Resolves once it listens. @throws NodeError NODE_ADDRESS_IN_USE, NODE_START_FAILED. */
export async function serve(options: ServiceOptions): Promise<PeerServer> {
  const { config, place, peer, metrics, health } = options
  const { host, port } = config.storage.http
  const { membership } = place.session
  const asker = new Asker({
    stores: () => storeView(place.session),
    clock: systemClock,
    connect: storeConnector(place.session),
    local: {
      storeId: place.storeId,
      peer,
    },
  })
  try {
    const server = await createPeerServer({
      host,
      port,
      clock: systemClock,
      asker,
      peer,
      health,
      metrics,
      peers: () => ({
        stores: membership.stores(),
        peers: membership.peers(),
      }),
      addRoutes: (app) => {
        app.post('/v1/peers/remove', (request) =>
          removeStore(place, config.mesh.replicas, request.body),
        )
      },
    })
    const { transport } = place.session
    if (isHttpTransport(transport)) transport.onHttp((stream) => server.accept(stream))
    return server
  } catch (error) {
    throw listenError(error, host, port)
  }
}

/**
 * Marks a store as leaving.
 * @throws StorageError QUERY_INVALID when it is no member, or this one, or one too many.
 */
async function removeStore(
  { storeId: own, member }: Place,
  replicas: number,
  body: unknown,
): Promise<{ storeId: string; state: string }> {
  const { storeId } = (body ?? {}) as { storeId?: StoreId }
  if (storeId === undefined || member.members.get(storeId) === undefined) {
    throw new StorageError('QUERY_INVALID', `storeId ${String(storeId)} is no store of this mesh`)
  }
  if (storeId === own) {
    throw new StorageError('QUERY_INVALID', 'a store cannot remove itself: ask another one')
  }
  const staying = [...member.members].filter(([id, state]) => state === 'member' && id !== storeId)
  if (staying.length < replicas) {
    throw new StorageError(
      'QUERY_INVALID',
      `without ${storeId} too few stores remain (${staying.length}) for ${replicas} replicas: add one first`,
    )
  }
  await member.mark(storeId, 'leaving')
  return { storeId, state: member.members.get(storeId)! }
}
