// Hyperswarm: links over Noise-encrypted UDP streams between processes that find each other in a DHT
// by the mesh's name and key, behind NAT and across the internet, or with a bootstrap node of one's
// own (hyperswarm-bootstrap.ts) on one machine or one site. Everybody on the mesh's topic is linked
// by itself; link() is for peers that one learns of otherwise. Publish-subscribe, credit and liveness
// are those of links/.
//
//   hyperswarm-network.ts    the DHT: finds peers, opens streams, is found
//   hyperswarm-handshake.ts  every stream: proof of the mesh's key (hyperswarm-keys.ts), and its kind
//   hyperswarm-link.ts       a link over a stream;  hyperswarm-dialler.ts: keeps one to a public key
//   hyperswarm-http.ts       a stream as HTTP wants it
import type { Duplex } from 'node:stream'
import type { KeyPair, SecretStream } from 'hyperdht'
import { MeshError } from '../errors.ts'
import type { Dial, LinkTransportOptions } from '../links/link-transport.ts'
import { LinkTransport } from '../links/link-transport.ts'
import { Dialler } from './hyperswarm-dialler.ts'
import { shakeHands } from './hyperswarm-handshake.ts'
import { HttpStream } from './hyperswarm-http.ts'
import type { MeshSecrets } from './hyperswarm-keys.ts'
import {
  STREAM_HTTP,
  STREAM_LINK,
  STREAM_PROBE,
  bootstrapAddress,
  endpointOf,
  meshSecrets,
  publicKeyOf,
} from './hyperswarm-keys.ts'
import { StreamLink } from './hyperswarm-link.ts'
import { SwarmNetwork } from './hyperswarm-network.ts'
import { endSoon } from './hyperswarm-streams.ts'

const PEERS_MAX = 10_000
/** Refused peers that are remembered as told of; those beyond are refused without a word. */
const REFUSED_MAX = 100
/** How long a peer may take to answer an attempt; punching through two NATs takes seconds. */
const CONNECT_MS = 10_000
/** The DHT remembers a process that was killed; one that lives answers sooner. */
const PROBE_MS = 1500
/** How long close() waits for streams to carry what was written. */
const CLOSE_MS = 500

export interface HyperswarmOptions extends LinkTransportOptions {
  readonly meshName: string
  /** Whoever knows name and key belongs to the mesh. Absent: the name is enough. */
  readonly meshKey?: string
  /** DHT nodes to begin with, as `host:port`; empty: the public DHT. */
  readonly bootstrap: readonly string[]
  /** The IPv4 address to bind UDP to; default all. A mesh on one machine: 127.0.0.1. */
  readonly host?: string
  /** Whether others can link to this process. False for one that only publishes, as a vehicle does. */
  readonly listens: boolean
  /** Streams at a time; default 10,000. */
  readonly maxPeers?: number
  /** False: links only to what link() is told, instead of to everybody on the mesh's topic. */
  readonly discovers?: boolean
  /** 64 hexadecimal digits that the key pair is made of, and with it the endpoint; absent: new each time. */
  readonly seed?: string
  /** The reason why no DHT node can be reached, and undefined once one can be. */
  readonly onTrouble?: (reason: string | undefined) => void
  /** Called once for each address whose process does not know this mesh's key; it gets no link. */
  readonly onRefused?: (remote: string) => void
}

export class HyperswarmTransport extends LinkTransport {
  readonly name = 'hyperswarm'
  private readonly options: HyperswarmOptions
  private readonly secrets: MeshSecrets
  /** All streams there are, for whatever; a test cuts them. */
  protected readonly streams = new Set<SecretStream>()
  /** Peers that the topic linked, by public key; whoever dials them has nothing to do. */
  private readonly topicLinks = new Map<string, StreamLink>()
  private readonly refused = new Set<string>()
  private readonly httpListeners: ((stream: Duplex) => void)[] = []
  private keyPair: KeyPair | undefined
  private network: SwarmNetwork | undefined
  private linkedPeers = 0

  constructor(options: HyperswarmOptions) {
    super(options, setImmediate)
    this.options = options
    this.secrets = meshSecrets(options.meshName, options.meshKey ?? '')
    this.onLink(({ up }) => this.countLink(up))
  }

  get endpoint(): string | undefined {
    if (!this.options.listens || this.keyPair === undefined) return undefined
    return endpointOf(this.keyPair.publicKey)
  }

  /** Those who are linked already need no DHT. */
  override trouble(): string | undefined {
    return this.linkedPeers > 0 ? undefined : this.network?.trouble
  }

  /**
   * An encrypted stream to that peer for HTTP: what `createConnection` of an `http.Agent` wants.
   * @throws MeshError MESH_ADDRESS_INVALID; an Error with code ECONNREFUSED when the peer does not
   * answer, or this transport is not open.
   */
  async connectHttp(endpoint: string): Promise<Duplex> {
    const stream = this.network?.connect(publicKeyOf(endpoint))
    if (stream === undefined) throw unreachable(endpoint, this.trouble())
    return new Promise((resolve, reject) => {
      stream.on('close', () => reject(unreachable(endpoint, this.trouble())))
      this.openStream(stream, STREAM_HTTP, (proven) => resolve(new HttpStream(proven, this.clock)))
    })
  }

  /** Calls back with each stream that a peer opens for HTTP: for `server.emit('connection', stream)`. */
  onHttp(listener: (stream: Duplex) => void): void {
    this.httpListeners.push(listener)
  }

  protected async _open(): Promise<void> {
    const { options } = this
    for (const address of options.bootstrap) bootstrapAddress(address)
    const seed = options.seed === undefined ? options.random.bytes(32) : parseSeed(options.seed)
    const [{ default: DHT }, { default: Hyperswarm }] = await Promise.all([
      import('hyperdht'),
      import('hyperswarm'),
    ])
    this.keyPair = DHT.keyPair(seed)
    const checksSeed = options.seed !== undefined && options.listens
    this.network = new SwarmNetwork({
      packages: { DHT, Hyperswarm },
      keyPair: this.keyPair,
      clock: this.clock,
      random: options.random,
      bootstrap: options.bootstrap,
      host: options.host,
      maxPeers: options.maxPeers ?? PEERS_MAX,
      topic: options.discovers === false ? undefined : this.secrets.topic,
      listens: options.listens,
      onStream: (stream) => this.onStream(stream),
      onTrouble: (reason) => options.onTrouble?.(reason),
      isLinked: () => this.linkedPeers > 0,
      isTaken: checksSeed ? (stream) => this.isTaken(stream) : undefined,
    })
    await this.network.open()
  }

  protected _dial(endpoint: string): Dial {
    const publicKey = publicKeyOf(endpoint)
    const key = publicKey.toString('hex')
    if (this.keyPair?.publicKey.equals(publicKey) === true) return { close() {} }
    const dialler = new Dialler({
      clock: this.clock,
      random: this.options.random,
      isLinked: () => this.topicLinks.get(key)?.isUp === true,
      open: (onLink) =>
        this.openStream(this.network?.connect(publicKey), STREAM_LINK, (stream) =>
          onLink(this.carry(stream)),
        ),
    })
    dialler.start()
    return dialler
  }

  protected async _close(): Promise<void> {
    await Promise.all([this.drained(), this.network?.leave()])
    for (const stream of this.streams) stream.destroy()
    await this.network?.close()
  }

  /** Opens a stream and proves; calls back in the turn in which the other side has proved itself too. */
  private openStream(
    stream: SecretStream | undefined,
    kind: number,
    onProven: (stream: SecretStream) => void,
    connectMs = CONNECT_MS,
  ): SecretStream | undefined {
    if (stream === undefined) return undefined
    this.adopt(stream)
    const late = this.clock.startTimer(connectMs, () => stream.destroy())
    stream.on('close', () => late.cancel())
    stream.on('open', () => {
      shakeHands(stream, {
        secrets: this.secrets,
        clock: this.clock,
        kind,
        onProven: () => {
          late.cancel()
          onProven(stream)
        },
        onRefused: () => this.onRefused(stream),
      })
    })
    return stream
  }

  /** Whether somebody of this mesh answers on the stream. */
  private isTaken(stream: SecretStream): Promise<boolean> {
    return new Promise((resolve) => {
      stream.on('close', () => resolve(false))
      const onProven = (): void => {
        resolve(true)
        stream.destroy()
      }
      this.openStream(stream, STREAM_PROBE, onProven, PROBE_MS)
    })
  }

  /** A stream that the topic made, on either side, or that another peer opened. */
  private onStream(stream: SecretStream): void {
    this.adopt(stream)
    if (!stream.isInitiator && this.streams.size > (this.options.maxPeers ?? PEERS_MAX)) {
      stream.destroy()
      return
    }
    shakeHands(stream, {
      secrets: this.secrets,
      clock: this.clock,
      kind: STREAM_LINK,
      onProven: (kind) => this.onProven(stream, kind),
      onRefused: () => this.onRefused(stream),
    })
  }

  private onProven(stream: SecretStream, kind: number): void {
    if (kind === STREAM_LINK) this.carryTopic(stream)
    else if (kind === STREAM_HTTP && this.httpListeners.length > 0) {
      const http = new HttpStream(stream, this.clock)
      for (const listener of this.httpListeners) listener(http)
    } else endSoon(stream, this.clock)
  }

  private carryTopic(stream: SecretStream): void {
    const key = stream.remotePublicKey.toString('hex')
    const link = this.carry(stream)
    this.topicLinks.set(key, link)
    stream.on('close', () => {
      if (this.topicLinks.get(key) === link) this.topicLinks.delete(key)
    })
  }

  private carry(stream: SecretStream): StreamLink {
    const link = new StreamLink({ stream, hub: this.hub, clock: this.clock })
    link.start()
    return link
  }

  private adopt(stream: SecretStream): void {
    this.streams.add(stream)
    // Whatever happens to a stream, it closes.
    stream.on('error', () => {})
    stream.on('close', () => this.streams.delete(stream))
  }

  /** They may knock again and again: that is told once, and counted each time. */
  private onRefused(stream: SecretStream): void {
    this.hub.counters.rejectedMessages += 1
    const remote = stream.isInitiator ? endpointOf(stream.remotePublicKey) : addressOf(stream)
    if (this.refused.has(remote) || this.refused.size >= REFUSED_MAX) return
    this.refused.add(remote)
    this.options.onRefused?.(remote)
  }

  private countLink(isUp: boolean): void {
    this.linkedPeers += isUp ? 1 : -1
    if (!isUp) this.network?.lookSoon()
  }

  /** Waits until the links that said goodbye have closed their streams. */
  private async drained(): Promise<void> {
    if (this.streams.size === 0) return
    const done = Promise.withResolvers<void>()
    const timer = this.clock.startTimer(CLOSE_MS, () => done.resolve())
    for (const stream of this.streams) {
      stream.on('close', () => {
        if (this.streams.size === 0) done.resolve()
      })
    }
    await done.promise
    timer.cancel()
  }
}

function addressOf({ rawStream, remotePublicKey }: SecretStream): string {
  const host = rawStream?.remoteHost
  if (host === undefined || host === null) return endpointOf(remotePublicKey)
  return `${host}:${rawStream?.remotePort}`
}

function parseSeed(seed: string): Buffer {
  if (/^[0-9a-f]{64}$/i.test(seed)) return Buffer.from(seed, 'hex')
  throw new MeshError(
    'MESH_ADDRESS_INVALID',
    `cannot use a hyperswarm seed of ${seed.length} characters: write 64 hexadecimal digits`,
  )
}

function unreachable(endpoint: string, trouble: string | undefined): Error {
  const why = trouble ?? 'the peer does not answer, or is of another mesh'
  return Object.assign(new Error(`cannot open HTTP to ${endpoint}: ${why}`), {
    code: 'ECONNREFUSED',
  })
}
