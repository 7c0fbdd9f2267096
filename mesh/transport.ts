// What carries bytes. A transport moves opaque messages (a topic and bytes) and knows nothing of
// frames, sequences, roles or storage; the contract is built once, above it. Each one lives in its
// own file of mesh/transports/ and passes mesh/conformance/.
//
// A transport may lose, repeat and reorder messages. It may not corrupt them silently, grow without
// bound, or throw because of what a peer sent.
import type { Duplex } from 'node:stream'
import type { PeerId } from './names.ts'
import type { TopicPattern } from './topic.ts'

export const TRANSPORTS = ['memory', 'zeromq', 'zenoh', 'hyperswarm', 'nats', 'kafka'] as const
export type TransportName = (typeof TRANSPORTS)[number]

export interface TransportCapabilities {
  /** A server stands between publisher and subscriber: `to` and links do not exist. */
  readonly brokered: boolean
  /** Messages of one sender on one topic arrive in the order sent, when they arrive. */
  readonly ordered: boolean
  /** What was published before a subscription can still reach it. */
  readonly replays: boolean
  /** Largest message in bytes, topic excluded. */
  readonly messageBytesMax: number
}

export interface Message {
  readonly topic: string
  /** The receiver may keep these only until its promise settles; copy what must live longer. */
  readonly bytes: Buffer
  /** Who sent it, where the transport knows; the id to answer `to`. */
  readonly from: PeerId | undefined
}

/**
 * Called with one or more messages, in order. A returned promise is back-pressure: nothing more
 * comes from that link until it settles. A rejection counts the batch as lost.
 */
export type BatchHandler = (batch: readonly Message[]) => void | Promise<void>

/**
 * all: everything published on the pattern; the subscription is made known to publishers.
 * directed: only what was published `to` this peer; nothing is announced. On a broker both mean all.
 */
export type SubscriptionScope = 'all' | 'directed'

export interface Subscription {
  /** No handler call starts after this resolves. */
  close(): Promise<void>
}

export interface Transport extends AsyncDisposable {
  readonly name: TransportName
  readonly capabilities: TransportCapabilities
  /** This process on the transport: what others see as `from`. */
  readonly peerId: PeerId
  /**
   * Able to subscribe and publish. A server that is away is no error: trouble() says so, and it is
   * tried for ever. @throws MeshError MESH_ADDRESS_IN_USE, MESH_ADDRESS_INVALID.
   */
  open(signal?: AbortSignal): Promise<void>
  /**
   * Queues a message and returns at once. With `to`, for that peer only; without, for every
   * subscriber of the topic. False means the queue is past its high-water mark: the message was
   * taken all the same unless it had to be dropped (counted), and the caller should await flush().
   * `bytes` must not be changed before flush() resolves.
   * @throws MeshError MESH_MESSAGE_TOO_LARGE, MESH_TRANSPORT_CLOSED.
   */
  publish(topic: string, bytes: Uint8Array, to?: PeerId): boolean
  subscribe(
    pattern: TopicPattern,
    onBatch: BatchHandler,
    scope?: SubscriptionScope,
  ): Promise<Subscription>
  /** Resolves when everything queued so far was handed to the network or dropped. */
  flush(signal?: AbortSignal): Promise<void>
  /** Flushes what it can within a second, then ends. Idempotent. */
  close(): Promise<void>
  /** Why nothing can be sent or received just now, in words; undefined when it can. Cheap. */
  trouble(): string | undefined
  /** Bytes queued and not yet handed to the network, over all links. Cheap. */
  queuedBytes(): number
  /** Counters since open, by a closed list of names; for metrics. */
  counters(): TransportCounters
}

export interface TransportCounters {
  sentMessages: number
  sentBytes: number
  receivedMessages: number
  receivedBytes: number
  /** Dropped because a queue was full. */
  droppedMessages: number
  droppedBytes: number
  /** Received and not understood: garbage, another mesh, another version, oversize. */
  rejectedMessages: number
}

export function newTransportCounters(): TransportCounters {
  return {
    sentMessages: 0,
    sentBytes: 0,
    receivedMessages: 0,
    receivedBytes: 0,
    droppedMessages: 0,
    droppedBytes: 0,
    rejectedMessages: 0,
  }
}

export interface LinkEvent {
  readonly peer: PeerId
  readonly up: boolean
}

/** A transport without a broker: processes link to each other. */
export interface PeerTransport extends Transport {
  /** Where others can link to this process, e.g. `tcp://127.0.0.1:7701`; undefined when it only dials. */
  readonly endpoint: string | undefined
  /** Keeps a link to `endpoint`, redialling for ever, until unlink. Idempotent. Never throws for a peer that is away. */
  link(endpoint: string): void
  unlink(endpoint: string): void
  /** Peers with a live link now, dialled by either side. */
  linked(): ReadonlySet<PeerId>
  /** Whether a peer that is linked now subscribes to the topic. Cheap. */
  hasSubscribers(topic: string): boolean
  /** Calls back when the first link to a peer comes up (handshake done) and when the last one goes down. */
  onLink(listener: (event: LinkEvent) => void): void
}

/** A peer transport over which HTTP can travel too, to peers that no address leads to. */
export interface HttpTransport extends PeerTransport {
  /** An encrypted stream to the HTTP server of the peer at that endpoint. @throws MeshError. */
  connectHttp(endpoint: string): Promise<Duplex>
  /** Calls back for each such stream that another peer opens to this one. */
  onHttp(listener: (stream: Duplex) => void): void
}

export function isHttpTransport(transport: Transport): transport is HttpTransport {
  return 'connectHttp' in transport
}

/** A transport whose messages pass through a server, which keeps telemetry for a while. */
export interface BrokerTransport extends Transport {
  /** Whether the server takes what is published now. While it does not, publish() drops, counted. */
  readonly isConnected: boolean
  /**
   * Calls back when that changes, until what it returns is called. A message that was published and is not known to be kept by the
   * server when it disconnects, or that it refuses, counts as lost: `false`, then, once it can be
   * sent again, `true`.
   */
  onConnection(listener: (isConnected: boolean) => void): () => void
  /**
   * Takes telemetry (`t/<shard>/…` and `b/<shard>`) as the consumer of that name, for whatever shards
   * assign() says. The next batch comes when the promise for the one before is fulfilled; only then
   * does the server hear that it was taken. A consumer that was here before goes on from there, at
   * every reconnection too; shards that are new to it begin CONSUME_BACK_MS before now.
   */
  consume(name: string, onBatch: BatchHandler): Promise<Consumption>
}

/** How far back a consumer begins with a shard it had not, so that nothing is lost while owners change. */
export const CONSUME_BACK_MS = 30_000

export interface Consumption {
  /** From now on these shards, and no others. Returns at once; takes effect as soon as it can. */
  assign(shards: ReadonlySet<number>): void
  /** Messages that the server keeps for this consumer and has not handed over, as last heard. */
  lag(): number
  /** No handler call starts after this resolves. */
  close(): Promise<void>
}

export function isBrokerTransport(transport: Transport): transport is BrokerTransport {
  return transport.capabilities.brokered
}

export function isPeerTransport(transport: Transport): transport is PeerTransport {
  return !transport.capabilities.brokered
}
