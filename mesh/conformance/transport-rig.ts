// What the transport suite needs of a transport under test, and the helpers its cases share. A rig
// is made for each case and closes everything that was opened through it.
import { it } from 'vitest'
import type { MeshId, PeerId } from '../names.ts'
import type { Message, PeerTransport, Transport, TransportCapabilities } from '../transport.ts'
import { isPeerTransport } from '../transport.ts'
import { eventually } from './eventually.ts'

export const MESH = '00112233aabbccdd' as MeshId
export const OTHER_MESH = '99887766ffeeddcc' as MeshId

export interface CreateOptions {
  readonly meshId?: MeshId
  readonly peerId?: PeerId
  /** Where to listen; absent: at any free endpoint. */
  readonly endpoint?: string
  readonly linkQueueBytes?: number
  readonly onOtherMesh?: (meshId: MeshId) => void
}

/** A process of its own, which can be killed. It answers `ask/x` on `answer/x`, to everybody. */
export interface RemotePeer {
  readonly peerId: PeerId
  readonly endpoint: string
  /** Without any farewell. */
  kill(): Promise<void>
}

export interface BreakablePath {
  /** What the dialler links to. */
  readonly endpoint: string
  /** Breaks what is connected now; a new connection works. */
  cut(): void
}

export interface TransportHarness {
  /** A transport that is not open yet, of the mesh MESH unless said otherwise. */
  create(options: CreateOptions): Promise<Transport>
  /** Starts a peer outside of this rig; at `endpoint` when given. Peer-to-peer only. */
  spawnPeer?(endpoint?: string): Promise<RemotePeer>
  /** A way from one to the other that can be cut without their doing. Peer-to-peer only. */
  breakable?(dialler: PeerTransport, listener: PeerTransport): Promise<BreakablePath>
  /** Addresses that can not be used. Peer-to-peer only. */
  readonly invalidAddresses?: readonly string[]
  /** An address where nobody listens yet, but could. */
  freeEndpoint?(): Promise<string>
  /** Frees what the harness itself holds. */
  stop?(): Promise<void>
}

export interface SuiteOptions {
  readonly capabilities: TransportCapabilities
  /** Called for each case. */
  setup(): TransportHarness | Promise<TransportHarness>
}

/** Marks messages that only find out whether a subscription works yet; collectors leave them out. */
const PROBE = Buffer.from('\u0000probe')

/** Gathers what a subscription delivers, as copies. */
export class Collector {
  readonly messages: Message[] = []
  batches = 0
  probes = 0
  private readonly onMessage: ((message: Message) => void) | undefined

  constructor(onMessage?: (message: Message) => void) {
    this.onMessage = onMessage
  }

  readonly onBatch = (batch: readonly Message[]): void => {
    this.batches += 1
    for (const message of batch) {
      if (isProbe(message)) {
        this.probes += 1
        continue
      }
      this.messages.push({ ...message, bytes: Buffer.from(message.bytes) })
      this.onMessage?.(message)
    }
  }

  texts(): string[] {
    return this.messages.map(({ bytes }) => bytes.toString())
  }
}

export const isProbe = (message: Message): boolean => message.bytes.equals(PROBE)

export class Rig {
  readonly harness: TransportHarness
  private readonly transports: Transport[] = []
  private readonly remotes: RemotePeer[] = []

  constructor(harness: TransportHarness) {
    this.harness = harness
  }

  /** An open transport. */
  async open(options: CreateOptions = {}): Promise<Transport> {
    const transport = await this.harness.create(options)
    this.transports.push(transport)
    await transport.open()
    return transport
  }

  async openPeer(options: CreateOptions = {}): Promise<PeerTransport> {
    const transport = await this.open(options)
    if (!isPeerTransport(transport)) throw new Error('not a peer transport')
    return transport
  }

  /** Two that can talk to each other; on a broker all can. The first one dials. */
  async pair(
    first: CreateOptions = {},
    second: CreateOptions = {},
  ): Promise<[Transport, Transport]> {
    const [a, b] = [await this.open(first), await this.open(second)]
    await this.connect(a, b)
    return [a, b]
  }

  async peerPair(
    first: CreateOptions = {},
    second: CreateOptions = {},
  ): Promise<[PeerTransport, PeerTransport]> {
    const [a, b] = await this.pair(first, second)
    return [a as PeerTransport, b as PeerTransport]
  }

  /** Links `from` to `to` and waits until both know it; nothing to do on a broker. */
  async connect(from: Transport, to: Transport): Promise<void> {
    if (!isPeerTransport(from) || !isPeerTransport(to)) return
    from.link(to.endpoint!)
    await linkedBoth(from, to)
  }

  async spawnPeer(endpoint?: string): Promise<RemotePeer> {
    const remote = await this.harness.spawnPeer!(endpoint)
    this.remotes.push(remote)
    return remote
  }

  async stop(): Promise<void> {
    await Promise.all(this.transports.map((transport) => transport.close()))
    await Promise.all(this.remotes.map((remote) => remote.kill()))
    await this.harness.stop?.()
  }
}

export async function linkedBoth(a: PeerTransport, b: PeerTransport): Promise<void> {
  await eventually(() => a.linked().has(b.peerId) && b.linked().has(a.peerId), {
    what: 'both sides linked',
  })
}

/** Subscribes and waits until what `from` publishes on `topic` arrives. */
export async function subscribed(
  to: Transport,
  pattern: string,
  from: Transport,
  topic: string,
  onMessage?: (message: Message) => void,
): Promise<Collector> {
  const collector = new Collector(onMessage)
  await to.subscribe(pattern, collector.onBatch)
  await arrives(from, topic, collector)
  return collector
}

/** Waits until what `from` publishes on `topic` arrives. */
export async function arrives(from: Transport, topic: string, collector: Collector): Promise<void> {
  const before = collector.probes
  await eventually(
    () => {
      if (collector.probes > before) return true
      from.publish(topic, PROBE)
      return false
    },
    { what: `a subscription to get ${topic}`, everyMs: 10 },
  )
}

/** Waits until the collector has so many messages. */
export async function received(collector: Collector, count: number): Promise<void> {
  await eventually(() => collector.messages.length >= count, {
    what: `${count} messages (pattern of the case)`,
  }).catch((error: Error) => {
    throw new Error(`${error.message}; got ${collector.messages.length}`, { cause: error })
  })
}

export const text = (value: unknown): Buffer => Buffer.from(String(value))

/** Publishes, waiting when told to. */
export async function publishAll(
  transport: Transport,
  topic: string,
  messages: Iterable<Uint8Array>,
  to?: PeerId,
): Promise<void> {
  for (const bytes of messages) {
    if (!transport.publish(topic, bytes, to)) await transport.flush()
  }
}

export function* numbers(count: number, prefix = ''): Generator<Buffer> {
  for (let index = 0; index < count; index += 1) yield text(`${prefix}${index}`)
}

/** The peer id to publish `to`, where that exists: what is directed waits, what is live may be dropped. */
export const directedTo = (transport: Transport): PeerId | undefined =>
  isPeerTransport(transport) ? transport.peerId : undefined

/** Declares cases; each gets a rig of its own. */
export class Cases {
  readonly capabilities: TransportCapabilities
  private readonly options: SuiteOptions

  constructor(options: SuiteOptions) {
    this.options = options
    this.capabilities = options.capabilities
  }

  /** A case that every transport passes. */
  all(title: string, run: (rig: Rig) => Promise<void>): void {
    it(title, async () => {
      const rig = new Rig(await this.options.setup())
      try {
        await run(rig)
      } finally {
        await rig.stop()
      }
    })
  }

  /** A case about links, which a broker does not have. */
  links(title: string, run: (rig: Rig) => Promise<void>): void {
    if (this.capabilities.brokered) skip(title, 'brokered: no links and no `to`')
    else this.all(title, run)
  }

  /** A case about order. */
  ordered(title: string, run: (rig: Rig) => Promise<void>): void {
    if (this.capabilities.ordered) this.all(title, run)
    else skip(title, 'does not promise order')
  }

  /** A case that holds only where nothing published before a subscription reaches it. */
  unreplayed(title: string, run: (rig: Rig) => Promise<void>): void {
    if (this.capabilities.replays) skip(title, 'replays')
    else this.all(title, run)
  }
}

function skip(title: string, reason: string): void {
  it.skipIf(true)(`${title} [skipped: ${reason}]`, () => {})
}
