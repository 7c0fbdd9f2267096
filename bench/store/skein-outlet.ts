// Frames to Skein's stores as its publisher sends them: over links, packed into messages, each store's own
// within what it grants, counted when the store says that they are synced. What a publisher does besides
// (samples, sealing, an outbox, repeats) is left out, so that the store is what is measured.
import { setTimeout as delay } from 'node:timers/promises'
import { readAck } from '../../mesh/ack.ts'
import {
  ackTopic,
  compileSchema,
  framesTopic,
  isPeerTransport,
  rankStores,
  SchemaExchange,
  shardOf,
  systemClock,
  type JsonSchema,
  type Message,
  type PeerId,
  type Session,
  type StoreId,
} from '../../mesh/index.ts'
import { encodeMessage, MESSAGE_BYTES_TARGET } from '../../mesh/message.ts'
import { loadConfig, openSession, parseOverride } from '../../nodes/index.ts'
import { skeinSettings } from '../systems/skein-settings.ts'
import type { Channel } from '../systems/system.ts'
import type { FeedAssignment } from './feed-messages.ts'
import type { Frames } from './frames.ts'
import type { Outlet } from './outlet.ts'
import { Pipe } from './pipe.ts'

const LOOK_MS = 10
const LINKED_LIMIT_MS = 60_000

interface Store {
  readonly storeId: StoreId
  readonly peer: PeerId
  readonly grantBytes: number | undefined
}

export async function openSkeinOutlet(
  assignment: FeedAssignment,
  frames: Frames,
  onAcked: () => void,
): Promise<Outlet> {
  const { channel, set, stores: wanted, inFlightBytes, firstFrame } = assignment
  const { copies } = channel.setting
  const session = await openFeedSession(channel)
  const { mesh, transport } = session
  const stores = await storesLinked(session, wanted)
  await sendSchema(session, set.schema, stores)
  const owners = ownersOf(
    frames.sources,
    stores.map(({ storeId }) => storeId),
    copies,
  )
  const places = stores.map((store) => {
    const indexes = indexesOf(frames, (source) => owners[source]!.includes(store.storeId))
    const pipe = new Pipe({ frames, indexes, inFlightBytes, firstFrame })
    pipe.grantBytes = store.grantBytes ?? 0
    return { ...store, pipe, topic: framesTopic(store.storeId) }
  })
  const pipeOf = new Map(places.map(({ storeId, pipe }) => [storeId, pipe]))
  const heard = (batch: readonly Message[]): void => {
    for (const { bytes } of batch) {
      const ack = readAck(bytes, mesh.id)
      const pipe = ack && pipeOf.get(ack.storeId)
      if (ack === undefined || pipe === undefined || ack.level !== 'synced') continue
      pipe.grantBytes = ack.grantBytes
      for (const { lane, runs } of ack.lanes) {
        for (let run = 0; run < runs.length; run += 2) {
          const sizes = frames.bytesOfEach(lane, runs[run]!, runs[run + 1]!)
          for (const bytes of sizes) pipe.acked(bytes)
        }
      }
    }
    onAcked()
  }
  await transport.subscribe(ackTopic(transport.peerId), heard, 'directed')
  return {
    pipes: places.map(({ pipe }) => pipe),
    copies,
    pump(until) {
      for (const { pipe, topic, peer } of places) {
        for (;;) {
          const taken = pipe.take(until, MESSAGE_BYTES_TARGET)
          if (taken.length === 0) break
          const message = encodeMessage(
            mesh.id,
            transport.peerId,
            taken.map((each) => pipe.bytes(each)),
          )
          transport.publish(topic, message, peer)
        }
      }
    },
    close: () => session.close(),
  }
}

function openFeedSession({ setting: { copies }, address }: Channel): Promise<Session> {
  const settings = skeinSettings({ 'mesh.replicas': copies, 'mesh.writeQuorum': copies })
  const { config } = loadConfig({
    cwd: process.cwd(),
    env: {},
    overrides: [
      { key: 'seeds', value: [address], flag: 'bench' },
      ...settings.map((text) => parseOverride(text)),
    ],
  })
  return openSession(config, {})
}

/** Resolves with so many stores that take frames and can be sent to. @throws when they do not come. */
async function storesLinked({ membership, transport }: Session, wanted: number): Promise<Store[]> {
  const limitMs = performance.now() + LINKED_LIMIT_MS
  for (;;) {
    const linked = isPeerTransport(transport) ? transport.linked() : new Set<PeerId>()
    const able = membership.stores().flatMap((store): Store[] => {
      const { storeId, peer, suspect, leaving, refusing, grantBytes } = store
      const isAble = !suspect && !leaving && refusing === undefined
      return isAble && peer !== undefined && linked.has(peer) ? [{ storeId, peer, grantBytes }] : []
    })
    if (able.length >= wanted) return able
    if (performance.now() > limitMs) throw new Error(`${able.length} of ${wanted} stores are there`)
    await delay(LOOK_MS)
  }
}

/** Ahead of the frames, on the links that these take, so that no frame comes before it. */
async function sendSchema(
  { mesh, transport }: Session,
  json: JsonSchema,
  stores: readonly Store[],
): Promise<void> {
  const exchange = new SchemaExchange({ mesh, transport, clock: systemClock, scope: 'directed' })
  await exchange.start()
  const schema = compileSchema(json)
  exchange.add(schema)
  for (const { peer } of stores) exchange.sendTo(peer, schema.id)
}

/** By source. */
function ownersOf(
  sources: readonly string[],
  stores: readonly StoreId[],
  copies: number,
): readonly (readonly StoreId[])[] {
  const ranked = new Map<number, readonly StoreId[]>()
  return sources.map((source) => {
    const shard = shardOf(source)
    let owners = ranked.get(shard)
    if (owners === undefined) {
      owners = rankStores(shard, stores).slice(0, copies)
      ranked.set(shard, owners)
    }
    return owners
  })
}

function indexesOf(frames: Frames, isTaken: (source: number) => boolean): Uint32Array {
  const indexes: number[] = []
  for (let i = 0; i < frames.count; i++) if (isTaken(frames.sourceOf(i))) indexes.push(i)
  return Uint32Array.from(indexes)
}
