// The connection to the Zenoh bridge, kept up for ever: connects, declares what this process listens
// to and its sign of life, proves by an echo that both speak the same protocol, watches that the
// bridge goes on answering, and begins again when it does not.
//
//   connecting ── socket ──► declaring ── inbox, echo, watch, token ──► up ── lost, or silent ─┐
//        ▲                                                                                      │
//        └──────────────── after 250 ms, doubling to 5 s ◄── trouble() says why ◄───────────────┘
import type { Clock, Random, Timer } from '../clock.ts'
import { MeshError } from '../errors.ts'
import { PACKET_BYTES_MAX } from '../links/wire.ts'
import type { ZenohPackage } from './zenoh-client.ts'
import { ZenohClient, loadZenoh } from './zenoh-client.ts'
import { ZenohKeys } from './zenoh-keys.ts'
import type { Side } from './zenoh-keys.ts'
import type { LivesHost } from './zenoh-lives.ts'
import { ZenohLives } from './zenoh-lives.ts'
import type { BridgeSocket } from './zenoh-websocket.ts'
import { connectWebSocket } from './zenoh-websocket.ts'

/** The wire format to the bridge has no version: both must be of the same minor one. */
const CLIENT_VERSION = '1.10'

const NOTHING = Buffer.alloc(0)

const CONNECT_MS = 5000
/** The first connection is waited for so long; a bridge on the same host takes a few milliseconds. */
const FIRST_CONNECTION_MS = 5000
const ECHO_MS = 2000
/** From connected to up; each request has its own, shorter time as well. */
const SETUP_MS = 10_000
const PAUSE_MS = 250
const PAUSE_MS_MAX = 5000

const TICK_MS = 1000
/** Silence after which trouble() says so: links are down by then too. */
const SILENT_MS = 3000
/** Silence after which the connection is given up. Longer than the 5 s a bridge may wait for another. */
const GONE_MS = 8000

/**
 * What may wait for the bridge to take it, of all links together. Their credit keeps it far below;
 * beyond, packets are lost.
 */
const BUFFERED_BYTES_MAX = 64 * 1024 * 1024

export interface SessionHost extends LivesHost {
  /** Packets can be put. */
  onUp(): void
  /** No packet put from here on arrives, nor is anybody known to be alive. */
  onDown(): void
  onPacket(from: string, side: Side, packet: Buffer): void
  /** Something arrived that none of us sent. */
  onRejected(): void
}

export interface SessionOptions {
  readonly bridge: URL
  /** How the bridge is called in messages. */
  readonly bridgeText: string
  readonly meshName: string
  /** Of our inbox. */
  readonly name: string
  readonly listens: boolean
  readonly clock: Clock
  readonly random: Random
  readonly onTrouble: ((reason: string | undefined) => void) | undefined
}

export class ZenohSession {
  private readonly options: SessionOptions
  private readonly host: SessionHost
  private readonly keys: ZenohKeys
  private readonly lives: ZenohLives
  private readonly closing = new AbortController()
  private zenoh: ZenohPackage | undefined
  private socket: BridgeSocket | undefined
  private client: ZenohClient | undefined
  private running: Promise<void> | undefined
  private reason: string | undefined
  private isOpened = false
  private isClosing = false
  private pauseMs = PAUSE_MS
  private heardMs = 0
  private tickDueMs = 0
  private timer: Timer | undefined
  private onEcho: () => void = () => {}

  constructor(options: SessionOptions, host: SessionHost) {
    this.options = options
    this.host = host
    this.keys = new ZenohKeys(options)
    this.lives = new ZenohLives(options.name, host)
  }

  /**
   * Connects, and stays connected. Resolves after the first attempt, whatever became of it.
   * @throws MeshError MESH_ADDRESS_IN_USE when another process has our inbox.
   */
  async open(): Promise<void> {
    const first = Promise.withResolvers<void>()
    this.running = this.run(first)
    const late = this.options.clock.startTimer(FIRST_CONNECTION_MS, () => first.resolve())
    try {
      await first.promise
      this.isOpened = true
    } finally {
      late.cancel()
    }
  }

  /** Sends what is buffered, within a second, and ends. */
  async close(): Promise<void> {
    const { socket } = this
    this.isClosing = true
    this.client = undefined
    if (socket !== undefined) socket.onMessage = () => {}
    await socket?.end()
    this.closing.abort()
    await this.running
  }

  trouble(): string | undefined {
    return this.reason
  }

  /** Sends a packet at once; false when it cannot be sent, and is lost. */
  put(to: string, side: Side, packet: Buffer): boolean {
    const { client, socket } = this
    if (client === undefined || !socket?.isOpen) return false
    const { bufferedBytes } = socket
    if (bufferedBytes > 0 && bufferedBytes + packet.length > BUFFERED_BYTES_MAX) return false
    client.put(this.keys.packet(to, side), packet)
    return true
  }

  private async run(first: PromiseWithResolvers<void>): Promise<void> {
    const { signal } = this.closing
    while (!signal.aborted && !this.isClosing) {
      try {
        await this.connection(first)
      } catch (error) {
        if (error instanceof MeshError && !this.isOpened) {
          first.reject(error)
          return
        }
        if (!this.isClosing) this.say((error as Error).message)
      }
      first.resolve()
      await this.pause()
    }
  }

  /** One connection, from its beginning to its end, which is always an error that says why. */
  private async connection(first: PromiseWithResolvers<void>): Promise<void> {
    const socket = await this.connect()
    this.socket = socket
    const late = this.options.clock.startTimer(SETUP_MS, () => {
      socket.destroy(new Error(`no answer within ${SETUP_MS} ms`))
    })
    try {
      const lost = this.lostOf(socket)
      const client = await Promise.race([this.greet(socket), lost])
      if (!this.isOpened) await Promise.race([this.checkInbox(client), lost])
      await Promise.race([this.declareInbox(client), lost])
      this.client = client
      this.host.onUp()
      await Promise.race([this.declareLife(client), lost])
      this.pauseMs = PAUSE_MS
      this.say(undefined)
      first.resolve()
      late.cancel()
      this.armTick()
      await lost
    } finally {
      late.cancel()
      this.end(socket)
    }
  }

  private async connect(): Promise<BridgeSocket> {
    const { bridge, bridgeText, clock } = this.options
    try {
      this.zenoh ??= await loadZenoh()
      return await connectWebSocket(bridge, {
        clock,
        timeoutMs: CONNECT_MS,
        signal: this.closing.signal,
        messageBytesMax: PACKET_BYTES_MAX + 4096,
      })
    } catch (error) {
      throw new Error(
        `no Zenoh bridge answers at ${bridgeText} (${(error as Error).message}): start zenoh-bridge-remote-api ${CLIENT_VERSION} there (npm run systems -- install zenoh, npm run systems -- start zenoh); trying again`,
        { cause: error },
      )
    }
  }

  /** Rejects when the connection ends. */
  private async lostOf(socket: BridgeSocket): Promise<never> {
    const reason = await socket.ended
    throw new Error(
      `lost the Zenoh bridge at ${this.options.bridgeText}: ${reason.message}; trying again`,
      {
        cause: reason,
      },
    )
  }

  private async greet(socket: BridgeSocket): Promise<ZenohClient> {
    try {
      return await ZenohClient.open(
        this.zenoh!,
        socket,
        () => this.host.onRejected(),
        () => this.heard(),
      )
    } catch (error) {
      throw this.otherVersion(undefined, error)
    }
  }

  /** A name that is taken is an error of a config, and told at once; later it is our own old life. */
  private async checkInbox(client: ZenohClient): Promise<void> {
    const { name, listens } = this.options
    if (!listens) return
    if (!(await client.hasToken(this.keys.ownLives))) return
    throw new MeshError(
      'MESH_ADDRESS_IN_USE',
      `cannot listen on zenoh://${name}: another process of this mesh does; stop it, or choose another name`,
      { retryable: true, details: { endpoint: `zenoh://${name}` } },
    )
  }

  /** Resolves when a packet to ourselves came back, from a bridge that is not of another version. */
  private async declareInbox(client: ZenohClient): Promise<void> {
    const echoed = Promise.withResolvers<void>()
    this.onEcho = echoed.resolve
    let late: Timer | undefined
    let failure: unknown
    try {
      await client.subscribe(this.keys.inbox, (key, isPut, payload) => {
        this.onSample(key, isPut, payload)
      })
      late = this.options.clock.startTimer(ECHO_MS, () => {
        echoed.reject(new Error(`no echo within ${ECHO_MS} ms`))
      })
      client.put(this.keys.echo, NOTHING)
      await echoed.promise
    } catch (error) {
      failure = error
    } finally {
      late?.cancel()
    }
    const version = await client.version().catch(() => undefined)
    const isOther = version !== undefined && !version.startsWith(`v${CLIENT_VERSION}.`)
    if (isOther || failure !== undefined) throw this.otherVersion(version, failure)
  }

  private async declareLife(client: ZenohClient): Promise<void> {
    await client.watch(this.keys.watched, (key, isPut) => {
      const life = this.keys.readLife(key)
      if (life === undefined) this.host.onRejected()
      else this.lives.onLife(life, isPut)
    })
    await client.declareToken(this.keys.life(this.options.random))
  }

  private onSample(key: string, isPut: boolean, payload: Buffer): void {
    const address = isPut ? this.keys.readAddress(key) : undefined
    if (address === undefined) {
      this.host.onRejected()
    } else if (address.side !== 'echo') {
      this.host.onPacket(address.from, address.side, payload)
    } else if (address.from === this.options.name) {
      this.onEcho()
    } else {
      this.host.onRejected()
    }
  }

  private heard(): void {
    this.heardMs = this.options.clock.monotonicMs()
  }

  private armTick(): void {
    const { clock } = this.options
    this.tickDueMs = clock.monotonicMs() + TICK_MS
    this.timer = clock.startTimer(TICK_MS, () => this.tick())
  }

  private tick(): void {
    const { clock, bridgeText } = this.options
    const nowMs = clock.monotonicMs()
    // As in links/hub.ts: a process that was itself held up has not listened.
    this.heardMs += Math.max(0, nowMs - this.tickDueMs - TICK_MS)
    const silentMs = nowMs - this.heardMs
    if (silentMs > GONE_MS) {
      this.socket?.destroy(new Error(`it has not answered for ${GONE_MS / 1000} s`))
      return
    }
    if (silentMs > SILENT_MS) {
      this.say(`the Zenoh bridge at ${bridgeText} does not answer: it hangs, or has too much to do`)
    } else {
      this.say(undefined)
    }
    this.client?.put(this.keys.echo, NOTHING)
    this.armTick()
  }

  private end(socket: BridgeSocket): void {
    this.timer?.cancel()
    this.client = undefined
    this.socket = undefined
    socket.destroy(new Error('closed'))
    this.lives.clear()
    this.host.onDown()
  }

  private async pause(): Promise<void> {
    const { signal } = this.closing
    if (signal.aborted) return
    const over = Promise.withResolvers<void>()
    const timer = this.options.clock.startTimer(this.pauseMs, over.resolve)
    signal.addEventListener('abort', () => over.resolve(), { once: true })
    this.pauseMs = Math.min(this.pauseMs * 2, PAUSE_MS_MAX)
    await over.promise
    timer.cancel()
  }

  private say(reason: string | undefined): void {
    if (reason === this.reason) return
    this.reason = reason
    this.options.onTrouble?.(reason)
  }

  private otherVersion(version: string | undefined, cause: unknown): Error {
    const reason = cause instanceof Error ? ` (${cause.message})` : ''
    const found =
      version === undefined
        ? 'what answers there is another program or version'
        : `found ${version}`
    return new Error(
      `cannot talk to ${this.options.bridgeText}${reason}: this process needs zenoh-bridge-remote-api ${CLIENT_VERSION}, and ${found}; trying again`,
      { cause },
    )
  }
}
