// The two ends of a ZeroMQ link: a Dialler holds a DEALER and redials for ever, a Listener holds the
// ROUTER and tells its links apart by routing id. Both only carry packets; links/ does the rest.
//
// What zeromq.js asks of us:
// - A second send() while one is pending is EBUSY. With sendTimeout 0 none is ever pending: send()
//   hands the packet to the io thread at once or fails with EAGAIN. The high-water mark is off,
//   since the credit of the link bounds what ZeroMQ holds.
// - `immediate`: a DEALER that is not connected refuses, instead of keeping messages that die later.
// - Heartbeats must be set before connect; they find a dead TCP connection, and ZeroMQ dials again.
// - A routing id per DEALER and `handover` on the ROUTER: a reconnected DEALER is the same link,
//   even while TCP takes the old connection for alive. `mandatory`: a send to a peer that is gone is
//   EHOSTUNREACH instead of silence.
// - receive() resolves without leaving the turn up to 512 times; the loops here yield sooner.
import type * as Zeromq from 'zeromq'
import type { Clock } from '../clock.ts'
import type { LinkHub } from '../links/hub.ts'
import type { Channel, Link } from '../links/link.ts'
import type { Dial } from '../links/link-transport.ts'
import { PACKET_BYTES_MAX } from '../links/wire.ts'
import { countMessage } from './zeromq-memory.ts'

const HEARTBEAT_MS = 1000
const SILENCE_MS = 3000
/**
 * A peer that comes back is linked within the second of these: its publishers' backlog waits for that and
 * for nothing else. What it costs is a packet at each try.
 */
const REDIAL_MS = 50
const REDIAL_MS_MAX = 150
/** How long a closed socket goes on sending what it has: the last packs, the goodbye. */
const LINGER_MS = 500
/** Who connects and does not speak ZMTP is dropped after so long. */
const ZMTP_HANDSHAKE_MS = 5000
/** Packets ZeroMQ reads ahead of us per connection; then TCP makes the sender wait. */
const READ_AHEAD_PACKETS = 1000
/** A receive loop gives way to timers and to other sockets after so much. */
const TURN_PACKETS = 128
const TURN_BYTES = 4 * 1024 * 1024
/** A lost connection makes the ROUTER probe its links, all that were lost within this time at once. */
const PROBE_MS = 20

/** How long a lost connection's last packets are waited for. */
const READING_MS = 200

function socketOptions() {
  return {
    linger: LINGER_MS,
    sendTimeout: 0,
    sendHighWaterMark: 0,
    receiveHighWaterMark: READ_AHEAD_PACKETS,
    maxMessageSize: PACKET_BYTES_MAX,
    heartbeatInterval: HEARTBEAT_MS,
    heartbeatTimeout: SILENCE_MS,
    handshakeInterval: ZMTP_HANDSHAKE_MS,
  }
}

export function routerOptions(): Zeromq.SocketOptions<Zeromq.Router> {
  return { ...socketOptions(), mandatory: true, handover: true }
}

export interface DiallerOptions {
  readonly zeromq: typeof Zeromq
  readonly endpoint: string
  readonly routingId: string
  readonly hub: LinkHub
  readonly clock: Clock
}

export class Dialler implements Dial, Channel {
  private readonly options: DiallerOptions
  private readonly link: Link
  private socket: Zeromq.Dealer | undefined

  constructor(options: DiallerOptions) {
    this.options = options
    this.link = options.hub.dial(this)
  }

  start(): void {
    const { zeromq, endpoint, routingId } = this.options
    const socket = new zeromq.Dealer({
      ...socketOptions(),
      routingId,
      immediate: true,
      reconnectInterval: REDIAL_MS,
      reconnectMaxInterval: REDIAL_MS_MAX,
    })
    this.socket = socket
    void watch(socket, async (event) => {
      if (event === 'disconnect') await allRead(socket, this.options.clock)
      if (socket !== this.socket) return
      if (event === 'handshake') this.link.connected()
      else if (event === 'disconnect') this.link.disconnected()
    })
    socket.connect(endpoint)
    void receive(socket, (parts) => {
      if (socket !== this.socket) return
      if (parts.length === 1) this.link.receive(parts[0]!)
      else this.options.hub.counters.rejectedMessages += 1
    })
  }

  send(packet: Buffer): void {
    if (this.socket === undefined || this.socket.closed) return
    countMessage(packet.length)
    // EAGAIN: not connected, and the event that says so is on its way.
    this.socket.send(packet).catch(() => this.link.lost(packet))
  }

  redial(): void {
    this.socket?.close()
    this.start()
  }

  /** Called by the owner to end the link, and by the link when it has ended. */
  close(): void {
    this.link.close()
    this.socket?.close()
    this.socket = undefined
  }
}

export class Listener {
  private readonly hub: LinkHub
  private readonly router: Zeromq.Router
  private readonly clock: Clock
  private readonly links = new Map<string, Link>()
  private isProbing = false

  constructor(hub: LinkHub, router: Zeromq.Router, clock: Clock) {
    this.hub = hub
    this.router = router
    this.clock = clock
  }

  get endpoint(): string | undefined {
    return this.router.closed ? undefined : (this.router.lastEndpoint ?? undefined)
  }

  start(): void {
    void watch(this.router, (event) => {
      if (event === 'disconnect') this.probeSoon()
      else if (event.startsWith('handshake:error')) this.hub.counters.rejectedMessages += 1
      return undefined
    })
    void receive(this.router, (parts) => this.onParts(parts))
  }

  close(): void {
    this.router.close()
  }

  private onParts(parts: readonly Buffer[]): void {
    const [routingId, packet] = parts
    if (parts.length !== 2 || routingId === undefined || packet === undefined) {
      this.hub.counters.rejectedMessages += 1
      return
    }
    const key = routingId.toString('latin1')
    const link = this.links.get(key)
    if (link !== undefined) {
      link.receive(packet)
      return
    }
    const met = this.hub.meet(packet, this.channel(key, routingId))
    if (met !== undefined) this.links.set(key, met)
  }

  private channel(key: string, routingId: Buffer): Channel {
    return {
      send: (packet) => {
        if (this.router.closed) return
        countMessage(packet.length)
        this.router.send([routingId, packet]).catch(() => this.onUnreachable(key, packet))
      },
      close: () => this.links.delete(key),
    }
  }

  /** EHOSTUNREACH: the peer is gone. */
  private async onUnreachable(key: string, packet: Buffer): Promise<void> {
    const link = this.links.get(key)
    if (link === undefined) return
    link.lost(packet)
    const { life } = link
    await allRead(this.router, this.clock)
    // Unless the peer has come back meanwhile.
    if (link.life === life) link.disconnected()
  }

  /**
   * ZeroMQ says that a connection was lost but not whose; sending to it fails, so every link sends
   * something, and the dead one is known within milliseconds instead of at its next heartbeat.
   */
  private probeSoon(): void {
    if (this.isProbing) return
    this.isProbing = true
    this.clock.startTimer(PROBE_MS, () => {
      this.isProbing = false
      if (this.router.closed) return
      for (const link of this.links.values()) link.probe()
    })
  }
}

/** Calls back for each message until the socket is closed. */
async function receive(
  socket: Zeromq.Dealer | Zeromq.Router,
  onParts: (parts: readonly Buffer[]) => void,
): Promise<void> {
  let packets = 0
  let bytes = 0
  while (!socket.closed) {
    let parts: Buffer[]
    try {
      parts = await socket.receive()
    } catch {
      // Closed under us; anything else says so again at the next call.
      await nextTurn()
      continue
    }
    onParts(parts)
    packets += 1
    const received = parts.reduce((sum, part) => sum + part.length, 0)
    bytes += received
    countMessage(received)
    if (packets >= TURN_PACKETS || bytes >= TURN_BYTES) {
      packets = 0
      bytes = 0
      await nextTurn()
    }
  }
}

/** Calls back for each event of the socket until it is closed. */
async function watch(
  socket: Zeromq.Dealer | Zeromq.Router,
  onEvent: (type: Zeromq.EventType) => Promise<void> | undefined,
): Promise<void> {
  const { events } = socket
  while (!events.closed) {
    try {
      const event = (await events.receive()) as Zeromq.Event | undefined
      if (event === undefined || event.type === 'end') return
      await onEvent(event.type)
    } catch {
      // Closed under us.
      return
    }
  }
}

/**
 * Waits until the socket has nothing to read: a lost connection is told apart from the data, and
 * earlier than what had arrived over it. Other peers may keep a ROUTER readable for ever.
 */
async function allRead(socket: Zeromq.Dealer | Zeromq.Router, clock: Clock): Promise<void> {
  const untilMs = clock.monotonicMs() + READING_MS
  while (!socket.closed && socket.readable && clock.monotonicMs() < untilMs) await nextTurn()
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
