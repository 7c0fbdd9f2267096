// What transports with a broker have in common: the checks of the public methods, and the order of
// opening and closing. A transport extends it and supplies the underscored methods.
import { dropAnchor } from '../anchor.ts'
import type { Clock, Random } from '../clock.ts'
import { MeshError } from '../errors.ts'
import type { MeshId, PeerId } from '../names.ts'
import { newPeerId } from '../names.ts'
import { atMost, orAborted } from '../waiting.ts'
import { checkPattern, checkTopic } from '../topic.ts'
import { newTransportCounters } from '../transport.ts'
import type {
  BatchHandler,
  BrokerTransport,
  Consumption,
  Subscription,
  TransportCapabilities,
  TransportCounters,
  TransportName,
} from '../transport.ts'
import { ConnectionState } from './connection-state.ts'
import { HandlerQueue } from './handler-queue.ts'

/** How long close() tries to send what is queued. */
const CLOSE_FLUSH_MS = 1000
const QUEUE_BYTES = 16 * 1024 * 1024
/** Topics remembered as well-formed. */
const TOPICS_MAX = 16_384

export interface BrokerOptions {
  /** Names what is kept at the broker, so that two meshes do not meet there. */
  readonly meshName: string
  readonly meshId: MeshId
  /** This process; drawn at random when absent. */
  readonly peerId?: PeerId
  readonly clock: Clock
  readonly random: Random
  /** Limit of the outgoing queue, and of what waits for each handler; default 16 MiB. */
  readonly queueBytes?: number
  /** Hears why nothing can be sent just now, and undefined when it can again. */
  readonly onTrouble?: (reason: string | undefined) => void
}

type LifeState = 'new' | 'open' | 'closed'

export abstract class BrokerBase implements BrokerTransport {
  abstract readonly name: TransportName
  readonly peerId: PeerId
  protected readonly clock: Clock
  protected readonly random: Random
  protected readonly queueBytes: number
  protected readonly connection: ConnectionState
  protected readonly counts = newTransportCounters()
  private readonly queues = new Set<HandlerQueue>()
  private readonly topics = new Set<string>()
  private state: LifeState = 'new'
  private closing: Promise<void> | undefined
  private weighAnchor: (() => void) | undefined

  constructor(options: BrokerOptions) {
    this.peerId = options.peerId ?? newPeerId(options.random)
    this.clock = options.clock
    this.random = options.random
    this.queueBytes = options.queueBytes ?? QUEUE_BYTES
    this.connection = new ConnectionState(options.onTrouble)
  }

  /** Largest message that the broker takes, as far as is known. */
  protected abstract get messageBytesMax(): number
  /** Tries to connect; resolves with the outcome of the first attempt, and goes on trying. */
  protected abstract _open(): Promise<void>
  /** The topic is well-formed and the size allowed. Copies nothing; counts what is sent or dropped. */
  protected abstract _publish(topic: string, bytes: Uint8Array): boolean
  /** Feeds `queue` from now on; resolves, when connected, once the broker knows. Returns how to end it. */
  protected abstract _subscribe(pattern: string, queue: HandlerQueue): Promise<() => void>
  protected abstract _consume(name: string, onBatch: BatchHandler): Promise<Consumption>
  protected abstract _flush(): Promise<void>
  /** Ends consumptions and connections; no handler is called after it resolves. */
  protected abstract _close(): Promise<void>
  abstract queuedBytes(): number

  get capabilities(): TransportCapabilities {
    const { messageBytesMax } = this
    return { brokered: true, ordered: true, replays: true, messageBytesMax }
  }

  get isConnected(): boolean {
    return this.connection.isConnected
  }

  onConnection(listener: (isConnected: boolean) => void): () => void {
    return this.connection.onChange(listener)
  }

  trouble(): string | undefined {
    return this.connection.trouble
  }

  async open(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    if (this.state !== 'new') throw this.closedError('opened')
    this.state = 'open'
    this.weighAnchor = dropAnchor()
    try {
      await orAborted(this._open(), signal)
    } catch (error) {
      await this.close()
      throw error
    }
  }

  /** `to` makes no difference: everybody who subscribed gets it. */
  publish(topic: string, bytes: Uint8Array, _to?: PeerId): boolean {
    if (this.state !== 'open') throw this.closedError(`asked to publish on ${topic}`)
    if (!this.topics.has(topic)) {
      checkTopic(topic)
      if (this.topics.size >= TOPICS_MAX) this.topics.clear()
      this.topics.add(topic)
    }
    if (bytes.length > this.messageBytesMax) {
      throw new MeshError(
        'MESH_MESSAGE_TOO_LARGE',
        `message of ${bytes.length} bytes exceeds ${this.messageBytesMax} (topic ${topic})`,
      )
    }
    return this._publish(topic, bytes)
  }

  async subscribe(pattern: string, onBatch: BatchHandler): Promise<Subscription> {
    if (this.state !== 'open') throw this.closedError(`asked to subscribe to ${pattern}`)
    checkPattern(pattern)
    const queue = new HandlerQueue({ onBatch, bytesMax: this.queueBytes, counters: this.counts })
    this.queues.add(queue)
    const remove = await this._subscribe(pattern, queue)
    return {
      close: () => {
        queue.close()
        if (this.queues.delete(queue)) remove()
        return Promise.resolve()
      },
    }
  }

  async consume(name: string, onBatch: BatchHandler): Promise<Consumption> {
    if (this.state !== 'open') throw this.closedError(`asked to consume as ${name}`)
    return this._consume(name, onBatch)
  }

  async flush(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    if (this.state === 'open') await orAborted(this._flush(), signal)
  }

  close(): Promise<void> {
    this.closing ??= this.closeOnce()
    return this.closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  counters(): TransportCounters {
    return { ...this.counts }
  }

  private async closeOnce(): Promise<void> {
    const wasOpen = this.state === 'open'
    this.state = 'closed'
    for (const queue of this.queues) queue.close()
    this.queues.clear()
    if (!wasOpen) return
    await atMost(CLOSE_FLUSH_MS, this._flush(), this.clock)
    await this._close()
    this.weighAnchor?.()
  }

  private closedError(asked: string): MeshError {
    return new MeshError(
      'MESH_TRANSPORT_CLOSED',
      `transport ${this.name} is ${this.state === 'new' ? 'not open yet' : this.state} but was ${asked}`,
    )
  }
}
