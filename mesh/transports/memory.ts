// A process on a MemoryNetwork: the same links as every peer-to-peer transport, over channels that
// are function calls. See memory-network.ts for the faults.
import { MeshError } from '../errors.ts'
import type { Timer } from '../clock.ts'
import type { LinkHub } from '../links/hub.ts'
import type { Channel, Link } from '../links/link.ts'
import type { Dial } from '../links/link-transport.ts'
import { LinkTransport } from '../links/link-transport.ts'
import type { TransportCapabilities } from '../transport.ts'
import type {
  EndHandlers,
  MemoryEnd,
  MemoryListener,
  MemoryNetwork,
  MemoryTransportOptions,
} from './memory-network.ts'

/** An endpoint where nobody answers is dialled again after so long. */
const REDIAL_MS = 100

export class MemoryTransport extends LinkTransport implements MemoryListener {
  readonly name = 'memory'
  private readonly network: MemoryNetwork
  private readonly listensAt: string | undefined
  private isListening = false

  constructor(network: MemoryNetwork, options: MemoryTransportOptions) {
    const { clock, random } = network
    super(
      { ...options, clock: options.clock ?? clock, random: options.random ?? random },
      undefined,
    )
    this.network = network
    const { endpoint = `memory://${this.peerId}` } = options
    this.listensAt = endpoint === false ? undefined : endpoint
  }

  get endpoint(): string | undefined {
    return this.isListening ? this.listensAt : undefined
  }

  override get capabilities(): TransportCapabilities {
    return { ...super.capabilities, ordered: this.network.faults.reordering === 0 }
  }

  /** Ends at once, without a farewell. Others see their connections close. */
  crash(): Promise<void> {
    return this.abandon()
  }

  /** For the network: somebody has dialled this process. */
  accept(end: MemoryEnd): EndHandlers {
    const link = this.hub.accept({ send: (packet) => end.send(packet), close: () => end.close() })
    return { onPacket: (packet) => link.receive(packet), onClosed: () => link.disconnected() }
  }

  protected _open(): Promise<void> {
    const endpoint = this.listensAt
    if (endpoint !== undefined) {
      checkEndpoint(endpoint)
      if (!this.network.listen(endpoint, this)) {
        const message = `cannot listen on ${endpoint}: another transport of this network does`
        throw new MeshError('MESH_ADDRESS_IN_USE', message, { retryable: true })
      }
      this.isListening = true
    }
    this.network.joined(this)
    return Promise.resolve()
  }

  protected _dial(endpoint: string): Dial {
    checkEndpoint(endpoint)
    const dialler = new MemoryDialler(this, this.network, endpoint, this.hub)
    dialler.start()
    return dialler
  }

  protected _close(): Promise<void> {
    if (this.isListening) this.network.unlisten(this.listensAt!, this)
    this.isListening = false
    this.network.left(this)
    return Promise.resolve()
  }
}

class MemoryDialler implements Dial, Channel {
  private readonly owner: MemoryTransport
  private readonly network: MemoryNetwork
  private readonly endpoint: string
  private readonly link: Link
  private end: MemoryEnd | undefined
  private timer: Timer | undefined
  private isClosed = false

  constructor(owner: MemoryTransport, network: MemoryNetwork, endpoint: string, hub: LinkHub) {
    this.owner = owner
    this.network = network
    this.endpoint = endpoint
    this.link = hub.dial(this)
  }

  start(): void {
    this.timer = undefined
    if (this.isClosed) return
    this.end = this.network.connect(this.owner.peerId, this.endpoint, {
      onPacket: (packet) => this.link.receive(packet),
      onClosed: () => this.onClosed(),
    })
    if (this.end === undefined) this.retry()
    else this.link.connected()
  }

  send(packet: Buffer): void {
    this.end?.send(packet)
  }

  redial(): void {
    // Sets off onClosed, which dials again.
    this.end?.close()
  }

  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.timer?.cancel()
    this.link.close()
    this.end?.close()
  }

  private onClosed(): void {
    this.end = undefined
    this.link.disconnected()
    this.retry()
  }

  private retry(): void {
    if (this.isClosed) return
    this.timer = this.network.clock.startTimer(REDIAL_MS, () => this.start())
  }
}

function checkEndpoint(endpoint: string): void {
  if (/^memory:\/\/\S+$/.test(endpoint)) return
  throw new MeshError(
    'MESH_ADDRESS_INVALID',
    `cannot use memory address ${JSON.stringify(endpoint)}: write memory://<name>`,
  )
}
