// How schemas get to those who need them: a publisher sends one ahead of the first frame that names
// it, to each store and to live subscribers; whoever still meets an unknown id asks the sender of the
// frame, who answers. Everybody who runs one of these answers for the schemas it knows.
import type { Clock } from './clock.ts'
import { readFrame, NO_SCHEMA } from './frame.ts'
import type { MeshIdentity } from './membership.ts'
import { encodeMessage, readMessage } from './message.ts'
import type { PeerId, SchemaId } from './names.ts'
import { schemaFrame, schemaFromFrame, type Schema } from './schema.ts'
import { SCHEMA_ASK_TOPIC, schemaTopic } from './topic.ts'
import type { Message, Subscription, SubscriptionScope, Transport } from './transport.ts'

/** How long an unanswered question is not repeated. */
const ASK_AGAIN_MS = 500
/** Peers and questions remembered. */
const REMEMBERED_MAX = 10_000

export interface SchemaExchangeOptions {
  readonly mesh: MeshIdentity
  readonly transport: Transport
  readonly clock: Clock
  /** Whether schemas published for everybody are wanted, or only those sent to this process. */
  readonly scope: SubscriptionScope
  /** Called with each schema that arrives and was not known; frames that follow wait for the promise. */
  readonly onSchema?: (schema: Schema) => void | Promise<void>
  /** Where else a schema may be known, e.g. a store's disk. */
  readonly lookup?: (id: SchemaId) => Schema | undefined
}

export class SchemaExchange {
  rejected = 0
  private readonly options: SchemaExchangeOptions
  private readonly known = new Map<SchemaId, Schema>()
  private readonly sentTo = new Map<PeerId, Set<SchemaId>>()
  private readonly published = new Set<SchemaId>()
  private subscription: Subscription | undefined
  private readonly askedAtMs = new Map<SchemaId, number>()
  private readonly heardAtMs = new Map<SchemaId, number>()

  constructor(options: SchemaExchangeOptions) {
    this.options = options
  }

  async start(): Promise<void> {
    const { transport, scope } = this.options
    this.subscription = await transport.subscribe('s/>', (batch) => this.receive(batch), scope)
  }

  async close(): Promise<void> {
    await this.subscription?.close()
  }

  add(schema: Schema): void {
    this.known.set(schema.id, schema)
  }

  get(id: SchemaId): Schema | undefined {
    return this.known.get(id) ?? this.options.lookup?.(id)
  }

  /** Sends the schema to a peer, once. */
  sendTo(peer: PeerId, id: SchemaId): void {
    let sent = this.sentTo.get(peer)
    if (sent === undefined) {
      // Peers that are gone; those that are not get their schemas once more.
      if (this.sentTo.size >= REMEMBERED_MAX) this.sentTo.clear()
      this.sentTo.set(peer, (sent = new Set()))
    }
    if (id === NO_SCHEMA || sent.has(id)) return
    sent.add(id)
    this.send(id, peer)
  }

  /** Publishes the schema for live subscribers, once; those who join later ask. */
  publishLive(id: SchemaId): void {
    if (id === NO_SCHEMA || this.published.has(id)) return
    this.published.add(id)
    this.send(id)
  }

  /** What was published may be lost: it is published once more when it is next needed. */
  forgetPublished(): void {
    this.published.clear()
  }

  /** Asks `from`, the sender of a frame with an unknown schema; on a broker, everybody. */
  ask(id: SchemaId, from: PeerId | undefined): void {
    const now = this.options.clock.monotonicMs()
    if (now - (this.askedAtMs.get(id) ?? -ASK_AGAIN_MS) < ASK_AGAIN_MS) return
    if (this.askedAtMs.size >= REMEMBERED_MAX) this.askedAtMs.clear()
    this.askedAtMs.set(id, now)
    this.options.transport.publish(SCHEMA_ASK_TOPIC, Buffer.from(id), from)
  }

  private send(id: SchemaId, to?: PeerId): void {
    const { mesh, transport } = this.options
    const schema = this.get(id)
    if (schema === undefined) return
    const message = encodeMessage(mesh.id, transport.peerId, [schemaFrame(schema)])
    transport.publish(schemaTopic(id), message, to)
  }

  /** On a broker all who know it hear the question, and each other's answers: one is enough. */
  private answer(id: SchemaId, from: PeerId | undefined): void {
    if (from !== undefined || this.get(id) === undefined) return this.send(id, from)
    const { clock, transport } = this.options
    const askedMs = clock.monotonicMs()
    clock.startTimer(turnMs(transport.peerId), () => {
      if ((this.heardAtMs.get(id) ?? -1) < askedMs) this.send(id)
    })
  }

  private heard(id: SchemaId): void {
    if (this.heardAtMs.size >= REMEMBERED_MAX) this.heardAtMs.clear()
    this.heardAtMs.set(id, this.options.clock.monotonicMs())
  }

  private async receive(batch: readonly Message[]): Promise<void> {
    for (const { topic, bytes, from } of batch) {
      if (topic === SCHEMA_ASK_TOPIC) this.answer(bytes.toString('latin1') as SchemaId, from)
      else await this.take(bytes)
    }
  }

  private async take(bytes: Buffer): Promise<void> {
    const message = readMessage(bytes, this.options.mesh.id)
    if (typeof message === 'string') {
      this.rejected += 1
      return
    }
    for (const frameBytes of message.frames) {
      const schema = schemaOf(frameBytes)
      if (schema !== undefined) this.heard(schema.id)
      if (schema === undefined) this.rejected += 1
      else if (this.get(schema.id) === undefined) {
        await this.options.onSchema?.(schema)
        this.known.set(schema.id, schema)
      }
    }
  }
}

/** Spreads those who answer over a quarter of a second, by their ids, which are random. */
const turnMs = (peer: PeerId): number => Number.parseInt(peer.slice(0, 2), 16)

function schemaOf(bytes: Buffer): Schema | undefined {
  const frame = readFrame(Buffer.from(bytes))
  if (typeof frame === 'string' || frame.kind !== 'schema') return undefined
  try {
    return schemaFromFrame(frame)
  } catch {
    // The sender's mistake, or garbage: counted by the caller.
    return undefined
  }
}
