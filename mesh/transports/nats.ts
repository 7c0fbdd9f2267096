// NATS: telemetry, backlog and schemas in a JetStream stream, everything else on core subjects.
//
//   publish t/ b/ s/ ──► stream skein-<mesh> ──► durable consumer per storage peer (nats-consumption.ts)
//              └──────────── core subject ─────► live subscribers, from now on
//
// A subscription that covers s/ first gets the last message of each of its subjects, so that who
// comes late knows the schemas. How connections come and go: nats-session.ts.
import type { Msg, NatsConnection } from '@nats-io/transport-node'
import { Backoff } from '../broker/backoff.ts'
import type { BrokerOptions } from '../broker/broker-base.ts'
import { BrokerBase } from '../broker/broker-base.ts'
import type { HandlerQueue } from '../broker/handler-queue.ts'
import { MeshError } from '../errors.ts'
import type { BatchHandler, Consumption, Message } from '../transport.ts'
import type { StreamAccess } from './nats-feed.ts'
import { NatsConsumption } from './nats-consumption.ts'
import { lastOfEach } from './nats-replay.ts'
import { HEADER_ROOM_BYTES, NatsSession } from './nats-session.ts'
import type { StreamSettings } from './nats-stream.ts'
import { NatsSubjects, isKept } from './nats-subjects.ts'

const CONNECT_MS = 5000
const REQUEST_MS = 5000
const PING_MS = 3000
const RETRY_FIRST_MS = 100
const RETRY_MOST_MS = 2000
/** Who is refused need not ask often. */
const RETRY_REFUSED_MS = 5000
/** What a server allows unless it is told otherwise, for the time before one was reached. */
const PAYLOAD_BYTES_MAX = 1024 * 1024

export interface NatsOptions extends BrokerOptions {
  /** `nats://host:port` each. */
  readonly servers: readonly string[]
  readonly user?: string | undefined
  readonly password?: string | undefined
  readonly token?: string | undefined
  /** Of the stream, when it is made: copies in a cluster, default 1. */
  readonly replicas?: number
  /** How long it keeps messages; default one hour. */
  readonly maxAgeMs?: number
  /** How much it keeps, oldest dropped; default 1 GiB. */
  readonly maxBytes?: number
}

interface LiveSubscription {
  readonly pattern: string
  readonly queue: HandlerQueue
}

export class NatsTransport extends BrokerBase {
  readonly name = 'nats'
  private readonly options: NatsOptions
  private readonly subjects: NatsSubjects
  private readonly settings: StreamSettings
  private readonly backoff: Backoff
  private readonly live = new Set<LiveSubscription>()
  /** On the connection that stands now, or stood last. */
  private readonly unlisten = new WeakMap<LiveSubscription, () => void>()
  private readonly consumptions = new Set<NatsConsumption>()
  private session: NatsSession | undefined
  private sessions = 0
  private payloadBytesMax = PAYLOAD_BYTES_MAX - HEADER_ROOM_BYTES
  private isClosing = false

  /** @throws RangeError for a mesh name too long for a stream. */
  constructor(options: NatsOptions) {
    super(options)
    this.options = options
    this.subjects = new NatsSubjects(options.meshName)
    const { replicas = 1, maxAgeMs = 3_600_000, maxBytes = 1024 ** 3, clock, random } = options
    this.settings = { replicas, maxAgeMs, maxBytes }
    this.backoff = new Backoff({ clock, random, firstMs: RETRY_FIRST_MS, mostMs: RETRY_MOST_MS })
  }

  protected get messageBytesMax(): number {
    return this.payloadBytesMax
  }

  queuedBytes(): number {
    return this.session?.queuedBytes() ?? 0
  }

  protected _open(): Promise<void> {
    checkServers(this.options.servers)
    const outcome = Promise.withResolvers<void>()
    void this.stayConnected(outcome.resolve)
    return outcome.promise
  }

  protected _publish(topic: string, bytes: Uint8Array): boolean {
    const kept = isKept(topic)
    const { session } = this
    if (session === undefined || (kept && session.ready === undefined)) {
      this.counts.droppedMessages += 1
      this.counts.droppedBytes += bytes.length
      return false
    }
    return session.publish({ subject: this.subjects.ofTopic(topic), bytes }, kept)
  }

  protected async _subscribe(pattern: string, queue: HandlerQueue): Promise<() => void> {
    const live: LiveSubscription = { pattern, queue }
    this.live.add(live)
    const { session } = this
    if (session !== undefined) {
      this.listen(session.nc, live)
      if (session.ready !== undefined) void this.replay(live, session.ready)
      await session.roundTrip()
    }
    return () => {
      this.live.delete(live)
      this.unlisten.get(live)?.()
    }
  }

  protected _consume(name: string, onBatch: BatchHandler): Promise<Consumption> {
    const { subjects, clock, random, counts: counters } = this
    const consumption: NatsConsumption = new NatsConsumption({
      name,
      onBatch,
      subjects,
      clock,
      random,
      counters,
      onClose: () => this.consumptions.delete(consumption),
    })
    this.consumptions.add(consumption)
    const access = this.session?.ready
    if (access !== undefined) consumption.attach(access)
    return Promise.resolve(consumption)
  }

  protected async _flush(): Promise<void> {
    await this.session?.flush()
  }

  protected async _close(): Promise<void> {
    this.isClosing = true
    this.backoff.stop()
    for (const consumption of this.consumptions) await consumption.close()
    await this.session?.stop()
  }

  /** One connection after the other, for ever. */
  private async stayConnected(onOutcome: () => void): Promise<void> {
    while (!this.isClosing) {
      const leastMs = await this.connectOnce(onOutcome)
      onOutcome()
      if (!this.isClosing) await this.backoff.wait(leastMs)
    }
  }

  /** Returns how long to wait at least before the next attempt. */
  private async connectOnce(onOutcome: () => void): Promise<number> {
    try {
      await this.useConnection(await this.connect(), onOutcome)
      return 0
    } catch (error) {
      if (this.isClosing) return 0
      const isRefused = (error as Error).name === 'AuthorizationError'
      this.connection.down(`${this.servers()} ${explain(error as Error, isRefused)}; trying again`)
      return isRefused ? RETRY_REFUSED_MS : 0
    }
  }

  private async connect(): Promise<NatsConnection> {
    const { connect } = await import('@nats-io/transport-node')
    const { servers, user, password, token } = this.options
    return connect({
      servers: [...servers],
      name: `skein ${this.peerId}`,
      // Sessions are ours: nats-session.ts says why.
      reconnect: false,
      maxReconnectAttempts: -1,
      timeout: CONNECT_MS,
      pingInterval: PING_MS,
      noAsyncTraces: true,
      ...(user !== undefined && { user, pass: password ?? '' }),
      ...(token !== undefined && { token }),
    })
  }

  private async useConnection(nc: NatsConnection, onOutcome: () => void): Promise<void> {
    const { jetstreamManager } = await import('@nats-io/jetstream')
    if (this.isClosing) {
      await nc.close()
      return
    }
    const manager = await jetstreamManager(nc, { checkAPI: false, timeout: REQUEST_MS })
    const { subjects, settings, clock, backoff, queueBytes, counts: counters, connection } = this
    this.sessions += 1
    const session = new NatsSession(
      {
        nc,
        manager,
        server: this.servers(),
        subjects,
        settings,
        clock,
        backoff,
        queueBytes,
        counters,
        connection,
        onReady: (access) => this.attach(access),
        onOutcome,
      },
      `_INBOX.skein.${this.peerId}.${this.sessions}`,
    )
    this.session = session
    this.payloadBytesMax = session.messageBytesMax
    for (const live of this.live) this.listen(nc, live)
    await session.run()
    this.session = undefined
    for (const consumption of this.consumptions) consumption.detach()
  }

  private attach(access: StreamAccess): void {
    for (const consumption of this.consumptions) consumption.attach(access)
    for (const live of this.live) void this.replay(live, access)
  }

  private listen(nc: NatsConnection, live: LiveSubscription): void {
    const subscription = nc.subscribe(this.subjects.ofPattern(live.pattern), {
      callback: (error, message) => {
        if (error !== null) return
        const received = this.receive(message)
        if (received !== undefined) live.queue.push(received)
      },
    })
    this.unlisten.set(live, () => subscription.unsubscribe())
  }

  private receive({ subject, data }: Msg): Message | undefined {
    this.counts.receivedMessages += 1
    this.counts.receivedBytes += data.length
    const topic = this.subjects.topicOf(subject)
    if (topic === undefined) {
      this.counts.rejectedMessages += 1
      return undefined
    }
    return { topic, bytes: viewOf(data), from: undefined }
  }

  /** What the stream still has of s/ comes before what is published now. */
  private async replay({ pattern, queue }: LiveSubscription, access: StreamAccess): Promise<void> {
    if (!/^(s|\*|>)(\/|$)/.test(pattern)) return
    queue.hold()
    const messages = await lastOfEach(access, this.subjects, this.clock, pattern)
    queue.release(messages.flatMap((message) => this.receive(message) ?? []))
  }

  private servers(): string {
    return this.options.servers
      .map((server) => server.replace(/^(nats:\/\/)?/, 'nats://'))
      .join(', ')
  }
}

function viewOf(data: Uint8Array): Buffer {
  return Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength)
}

function explain(error: Error, isRefused: boolean): string {
  if (isRefused) return 'refuses these credentials'
  if (error.name === 'TimeoutError') return `does not answer (silent for ${CONNECT_MS / 1000} s)`
  return `does not answer (${error.message})`
}

function checkServers(servers: readonly string[]): void {
  for (const server of servers) {
    const port = /^(?:nats:\/\/)?(?:[^\s:/@[\]]+|\[[0-9A-Fa-f:.%]+\])(?::(\d{1,5}))?$/.exec(server)
    if (port === null || Number(port[1] ?? 0) > 65_535) throw invalidServers(server)
  }
  if (servers.length === 0) throw invalidServers('')
}

function invalidServers(server: string): MeshError {
  return new MeshError(
    'MESH_ADDRESS_INVALID',
    `cannot use nats server ${JSON.stringify(server)}: write nats://host:port, e.g. nats://127.0.0.1:4222`,
    { details: { server } },
  )
}
