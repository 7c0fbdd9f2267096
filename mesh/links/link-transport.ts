// What all transports made of links have in common: the checks of the public methods and the order
// of opening and closing. A transport extends it and supplies the channels (`_open`, `_dial`,
// `_close`); everything else is the hub's.
import { dropAnchor } from '../anchor.ts'
import type { Clock, Random } from '../clock.ts'
import { MeshError } from '../errors.ts'
import type { MeshId, PeerId } from '../names.ts'
import { newPeerId } from '../names.ts'
import { atMost, orAborted } from '../waiting.ts'
import type {
  BatchHandler,
  LinkEvent,
  PeerTransport,
  Subscription,
  SubscriptionScope,
  TransportCapabilities,
  TransportCounters,
  TransportName,
} from '../transport.ts'
import { LinkHub } from './hub.ts'
import { MESSAGE_BYTES_MAX } from './wire.ts'

/** How long close() tries to send what is queued. */
const CLOSE_FLUSH_MS = 1000

export interface LinkTransportOptions {
  readonly meshId: MeshId
  /** This process; drawn at random when absent. */
  readonly peerId?: PeerId
  readonly clock: Clock
  readonly random: Random
  /** Limit of each link's outgoing queue; default 16 MiB. */
  readonly linkQueueBytes?: number
  /** Called once for each other mesh of which a peer wants a link here; it gets none. */
  readonly onOtherMesh?: (meshId: MeshId) => void
}

/** One kept link, as `link(endpoint)` made it. */
export interface Dial {
  /** Says goodbye and stops redialling. */
  close(): void
}

type LifeState = 'new' | 'open' | 'closed'

export abstract class LinkTransport implements PeerTransport {
  abstract readonly name: TransportName
  readonly peerId: PeerId
  protected readonly hub: LinkHub
  protected readonly clock: Clock
  private readonly dials = new Map<string, Dial>()
  private state: LifeState = 'new'
  private closing: Promise<void> | undefined
  private weighAnchor: (() => void) | undefined

  constructor(
    options: LinkTransportOptions,
    afterTurn: ((callback: () => void) => void) | undefined,
  ) {
    this.peerId = options.peerId ?? newPeerId(options.random)
    this.clock = options.clock
    this.hub = new LinkHub({ ...options, peerId: this.peerId, ...(afterTurn && { afterTurn }) })
  }

  get capabilities(): TransportCapabilities {
    return {
      brokered: false,
      ordered: true,
      replays: false,
      messageBytesMax: MESSAGE_BYTES_MAX,
    }
  }

  abstract get endpoint(): string | undefined

  /** Starts to listen. @throws MeshError MESH_ADDRESS_IN_USE, MESH_ADDRESS_INVALID. */
  protected abstract _open(): Promise<void>
  /** Keeps a channel to `endpoint`. @throws MeshError MESH_ADDRESS_INVALID. */
  protected abstract _dial(endpoint: string): Dial
  /** Frees what `_open` made; links and dials are closed already. */
  protected abstract _close(): Promise<void>

  async open(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    if (this.state !== 'new') throw this.closedError('opened')
    this.state = 'open'
    this.weighAnchor = dropAnchor()
    try {
      await this._open()
      signal?.throwIfAborted()
    } catch (error) {
      await this.close()
      throw error
    }
    this.hub.start()
  }

  publish(topic: string, bytes: Uint8Array, to?: PeerId): boolean {
    if (this.state !== 'open') throw this.closedError(`asked to publish on ${topic}`)
    return this.hub.publish(topic, bytes, to)
  }

  subscribe(
    pattern: string,
    onBatch: BatchHandler,
    scope: SubscriptionScope = 'all',
  ): Promise<Subscription> {
    if (this.state !== 'open') {
      return Promise.reject(this.closedError(`asked to subscribe to ${pattern}`))
    }
    try {
      const remove = this.hub.subscribe(pattern, onBatch, scope)
      return Promise.resolve({
        close: () => {
          remove()
          return Promise.resolve()
        },
      })
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async flush(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    await orAborted(this.hub.flush(), signal)
  }

  close(): Promise<void> {
    this.closing ??= this.closeOnce()
    return this.closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Links say themselves who is away. A transport that needs a program beside it has more to say. */
  trouble(): string | undefined {
    return undefined
  }

  queuedBytes(): number {
    return this.hub.queuedBytes()
  }

  counters(): TransportCounters {
    return { ...this.hub.counters }
  }

  link(endpoint: string): void {
    if (this.state !== 'open') throw this.closedError(`asked to link to ${endpoint}`)
    if (this.dials.has(endpoint)) return
    this.dials.set(endpoint, this._dial(endpoint))
  }

  unlink(endpoint: string): void {
    const dial = this.dials.get(endpoint)
    this.dials.delete(endpoint)
    dial?.close()
  }

  linked(): ReadonlySet<PeerId> {
    return this.hub.peers.ids()
  }

  hasSubscribers(topic: string): boolean {
    return this.hub.peers.route(topic).links.length > 0
  }

  onLink(listener: (event: LinkEvent) => void): void {
    this.hub.peers.onLink(listener)
  }

  /** Ends at once and without a farewell, as a crash would; for tests and the simulator. */
  protected async abandon(): Promise<void> {
    this.state = 'closed'
    this.closing ??= this.release(false)
    return this.closing
  }

  private async closeOnce(): Promise<void> {
    const wasOpen = this.state === 'open'
    this.state = 'closed'
    if (wasOpen) await atMost(CLOSE_FLUSH_MS, this.hub.flush(), this.clock)
    await this.release(true)
  }

  private async release(farewell: boolean): Promise<void> {
    this.hub.stop(farewell)
    for (const endpoint of this.dials.keys()) this.unlink(endpoint)
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
