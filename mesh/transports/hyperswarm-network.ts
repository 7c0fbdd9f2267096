// One process on the DHT: finds the peers of its topic, is found there, and opens streams.
//
// HyperDHT looks for its bootstrap nodes when it starts and never again, and what it has made without
// them stays without. So a DHT is kept only once a bootstrap node has answered; until then each try
// has its own. Later the bootstrap nodes are asked now and then whether they are there: when they come
// back, and nothing is linked that would be lost by it, everything is made anew as well.
//
// Hyperswarm looks up its topic every ten minutes. That is long for a mesh in which a process comes
// back with another key each time, so here it is done soon after anything has changed.
import { lookup } from 'node:dns/promises'
import type DHT from 'hyperdht'
import type { KeyPair, SecretStream } from 'hyperdht'
import type Hyperswarm from 'hyperswarm'
import type { Discovery } from 'hyperswarm'
import type { Clock, Random, Timer } from '../clock.ts'
import { MeshError } from '../errors.ts'
import type { BootstrapAddress } from './hyperswarm-keys.ts'
import { bootstrapAddress, endpointOf } from './hyperswarm-keys.ts'

const RETRY_MS = 1000
const RETRY_MS_MAX = 5000
/** How long the start may take once a bootstrap node has answered; longer, and it goes on unwatched. */
const START_MS = 3000
const WATCH_MS = 5000
/** A bootstrap node that has not answered by then, its name looked up and asked twice, does not. */
const ANSWER_MS = 2000
/** So many times in a row, and it is away; a busy machine or a lost packet is no news. */
const MISSES = 2
const LOOK_MS = 500
/** The steady pace of look-ups: among our own nodes, and among those of the world. */
const LOOK_MS_MAX = 10_000
const PUBLIC_LOOK_MS_MAX = 5 * 60_000
/**
 * Hyperswarm's own redialling of peers found on the topic, by attempt. Its default begins at a second
 * and a half; a peer that gave up is found again by the next look-up.
 */
const BACKOFFS_MS = [300, 1000, 3000, 60_000] as const
const BACKOFF_JITTER_MS = 200
/**
 * Attempts at a time. A killed peer stays on the topic for a while, and each attempt to reach it takes
 * seconds: with the default of 3, thirty dead peers hid living ones for over 40 s; with 32, half a second.
 */
const ATTEMPTS = 32
/** Ports from which one is drawn: 49737, the packages' default, is left to bootstrap nodes. */
const PORT_FIRST = 50_000
const PORTS = 15_000
/** How long taking back what was announced may take: others then do not try to reach us in vain. */
const LEAVE_MS = 500
/** destroy() of either package may hang or throw. */
const DESTROY_MS = 300

export interface SwarmPackages {
  readonly DHT: typeof DHT
  readonly Hyperswarm: typeof Hyperswarm
}

export interface NetworkOptions {
  readonly packages: SwarmPackages
  readonly keyPair: KeyPair
  readonly clock: Clock
  readonly random: Random
  /** Empty: the public DHT. */
  readonly bootstrap: readonly string[]
  readonly host: string | undefined
  readonly maxPeers: number
  /** Undefined: peers are linked only where somebody says so. */
  readonly topic: Buffer | undefined
  readonly listens: boolean
  /** A stream of the topic, or one that another peer opened. */
  onStream(stream: SecretStream): void
  onTrouble(reason: string | undefined): void
  /** Whether any peer is linked. */
  isLinked(): boolean
  /** Whether somebody who belongs here is at the other end of a stream to our own key. */
  isTaken: ((stream: SecretStream) => Promise<boolean>) | undefined
}

interface Life {
  readonly dht: DHT
  readonly swarm: Hyperswarm
  readonly discovery: Discovery | undefined
}

export class SwarmNetwork {
  private readonly options: NetworkOptions
  private readonly bootstrap: readonly BootstrapAddress[]
  private life: Life | undefined
  private tryTimer: Timer | undefined
  private lookTimer: Timer | undefined
  private lookMs = LOOK_MS
  private retryMs = RETRY_MS
  private misses = 0
  private isClosed = false
  trouble: string | undefined

  constructor(options: NetworkOptions) {
    this.options = options
    const isPublic = options.bootstrap.length === 0
    // Those of the public DHT are written address@name:port.
    const known = options.packages.DHT.BOOTSTRAP.map((text) => text.replace(/@[^:]*/, ''))
    this.bootstrap = (isPublic ? known : options.bootstrap).map(bootstrapAddress)
  }

  /** Resolves after the first try, whatever it gave. @throws MeshError when the host is not ours. */
  async open(): Promise<void> {
    await this.tryStart(true)
  }

  /** An encrypted stream to that key, from a key pair of its own; undefined while there is no DHT. */
  connect(publicKey: Buffer): SecretStream | undefined {
    // A key pair of its own: Hyperswarm closes all but one stream between two key pairs.
    return this.life?.dht.connect(publicKey, { keyPair: this.newKeyPair() })
  }

  /** Looks for peers soon: one was lost, or nobody is there yet. */
  lookSoon(): void {
    this.lookMs = LOOK_MS
    this.lookLater()
  }

  /** Is found no more. Streams stay. */
  async leave(): Promise<void> {
    this.isClosed = true
    if (this.life === undefined) return
    const { swarm } = this.life
    const left = [swarm.clear(), swarm.server.close()]
    await within(LEAVE_MS, this.options.clock, Promise.allSettled(left))
  }

  /** Ends all streams too. */
  async close(): Promise<void> {
    this.isClosed = true
    await this.end()
  }

  private async end(): Promise<void> {
    this.tryTimer?.cancel()
    this.lookTimer?.cancel()
    const { life } = this
    this.life = undefined
    if (life === undefined) return
    // Side by side: the swarm waits for requests that only the DHT's end makes fail.
    const ended = [life.swarm.destroy({ force: true }), life.dht.destroy({ force: true })]
    await within(DESTROY_MS, this.options.clock, Promise.allSettled(ended))
  }

  private async tryStart(isFirst: boolean): Promise<void> {
    const dht = this.makeDht()
    try {
      await dht.bind()
    } catch (error) {
      await within(DESTROY_MS, this.options.clock, dht.destroy())
      if (isFirst) throw this.hostError(error)
      this.setTrouble(this.hostError(error).message)
      this.tryLater()
      return
    }
    const answers = await this.isAnswered(dht)
    if (!answers || this.isClosed) {
      await within(DESTROY_MS, this.options.clock, dht.destroy())
      if (this.isClosed) return
      this.setTrouble(this.silence())
      this.tryLater()
      return
    }
    await within(START_MS, this.options.clock, dht.fullyBootstrapped())
    if (isFirst) await this.checkOwnKey(dht)
    await this.begin(dht)
  }

  /** Two processes with one key pair would take each other's streams. */
  private async checkOwnKey(dht: DHT): Promise<void> {
    const { isTaken, keyPair, clock } = this.options
    if (isTaken === undefined) return
    const stream = dht.connect(keyPair.publicKey, { keyPair: this.newKeyPair() })
    if (!(await isTaken(stream))) return
    await within(DESTROY_MS, clock, dht.destroy())
    const endpoint = endpointOf(keyPair.publicKey)
    throw new MeshError(
      'MESH_ADDRESS_IN_USE',
      `cannot be ${endpoint}: another process has the same seed; stop it, or give this one another seed, or none`,
      { retryable: true, details: { endpoint } },
    )
  }

  private async begin(dht: DHT): Promise<void> {
    const { packages, keyPair, maxPeers, topic, listens, clock } = this.options
    const swarm = new packages.Hyperswarm({
      dht,
      keyPair,
      maxPeers,
      maxParallel: ATTEMPTS,
      backoffs: BACKOFFS_MS,
      jitter: BACKOFF_JITTER_MS,
    })
    swarm.on('error', () => {})
    swarm.on('connection', (stream: SecretStream) => this.options.onStream(stream))
    const discovery = topic && swarm.join(topic, { server: listens, client: true })
    this.life = { dht, swarm, discovery }
    if (this.isClosed) {
      await this.end()
      return
    }
    if (discovery !== undefined) await within(START_MS, clock, discovery.flushed())
    else if (listens) await within(START_MS, clock, swarm.listen())
    if (this.isClosed) return
    this.retryMs = RETRY_MS
    this.setTrouble(undefined)
    this.lookSoon()
    this.watchLater()
  }

  private newKeyPair(): KeyPair {
    const { packages, random } = this.options
    return packages.DHT.keyPair(random.bytes(32))
  }

  private makeDht(): DHT {
    const { packages, random, host, bootstrap } = this.options
    const isPublic = bootstrap.length === 0
    return new packages.DHT({
      port: PORT_FIRST + Math.floor(random.next() * PORTS),
      ...(host !== undefined && { host }),
      // Our own bootstrap nodes keep what is announced; processes that come and go need not.
      ...(!isPublic && { bootstrap, ephemeral: true }),
    })
  }

  private async isAnswered(dht: DHT): Promise<boolean> {
    let isAnswered = false
    const asked = this.bootstrap.map(async ({ host, port }) => {
      const { address } = await lookup(host, { family: 4 })
      await dht.ping({ host: address, port })
      isAnswered = true
    })
    await within(ANSWER_MS, this.options.clock, Promise.any(asked))
    return isAnswered
  }

  private watchLater(): void {
    this.tryTimer = this.options.clock.startTimer(WATCH_MS, () => void this.watch())
  }

  private async watch(): Promise<void> {
    const { life } = this
    if (life === undefined) return
    const answers = await this.isAnswered(life.dht)
    if (this.isClosed || this.life !== life) return
    const wasAway = this.trouble !== undefined
    this.misses = answers ? 0 : this.misses + 1
    if (answers) this.setTrouble(undefined)
    else if (this.misses >= MISSES) this.setTrouble(this.silence())
    if (answers && wasAway && !this.options.isLinked()) {
      await this.end()
      if (!this.isClosed) this.startAgain()
      return
    }
    if (answers && wasAway) this.lookSoon()
    this.watchLater()
  }

  private lookLater(): void {
    this.lookTimer?.cancel()
    if (this.isClosed) return
    const { clock, random, bootstrap } = this.options
    // Spread, so that those who lost the same peer do not all ask at once.
    const ms = this.lookMs * (0.75 + random.next() / 2)
    this.lookTimer = clock.startTimer(ms, () => {
      const most = bootstrap.length > 0 ? LOOK_MS_MAX : PUBLIC_LOOK_MS_MAX
      this.lookMs = Math.min(this.lookMs * 2, most)
      this.look()
      this.lookLater()
    })
  }

  /** A bootstrap node that was restarted has forgotten everybody: announcing is part of it. */
  private look(): void {
    const { life } = this
    if (life === undefined) return
    if (this.options.listens) life.swarm.server.refresh()
    life.discovery?.refresh().catch(() => {})
  }

  private tryLater(): void {
    const { clock } = this.options
    this.tryTimer = clock.startTimer(this.retryMs, () => this.startAgain())
    this.retryMs = Math.min(this.retryMs * 2, RETRY_MS_MAX)
  }

  private startAgain(): void {
    this.tryStart(false).catch(() => this.tryLater())
  }

  private setTrouble(reason: string | undefined): void {
    if (this.trouble === reason) return
    this.trouble = reason
    this.options.onTrouble(reason)
  }

  private silence(): string {
    const { bootstrap } = this.options
    if (bootstrap.length === 0) {
      return 'no node of the public DHT answers: check the network, or set hyperswarm.bootstrap; trying again'
    }
    return `no DHT node answers at ${bootstrap.join(', ')}: start one with skein bootstrap, or check hyperswarm.bootstrap; trying again`
  }

  private hostError(cause: unknown): MeshError {
    const { host } = this.options
    return new MeshError(
      'MESH_ADDRESS_INVALID',
      `cannot bind UDP to ${JSON.stringify(host ?? '0.0.0.0')}: give an IPv4 address of this machine as hyperswarm.host`,
      { cause, details: { host } },
    )
  }
}

/** Waits for `work`, at most so long; what it gives or throws later is nobody's business. */
async function within(ms: number, clock: Clock, work: Promise<unknown>): Promise<void> {
  const late = Promise.withResolvers<void>()
  const timer = clock.startTimer(ms, () => late.resolve())
  await Promise.race([work.catch(() => {}), late.promise])
  timer.cancel()
}
