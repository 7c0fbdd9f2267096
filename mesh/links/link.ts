// A link: what one process knows of one channel to one other process. A channel carries packets of
// bytes, in order or not, now and then losing one; the link adds who is there, what they subscribe
// to, credit (sender.ts, receiver.ts) and whether they are still alive.
//
//   dialler                                     acceptor
//      │ channel is there                          │
//   greeting ── hello(session, echo 0) ──────────► │ new session: up
//      │ ◄───────── hello(session', echo session) ─┤
//     up ── pack, heartbeat … ───────────────────► │
//      │ ◄──────────────── ask(session) ───────────┤ does not know that session: it restarted, or
//   greeting, with a new session                   │ thought this side dead
//
// Each life of a side has its own session number, so a restart or a reconnect on either side is
// seen by the other. A hello is sent again when subscriptions change and until it is answered. An
// acceptor's link ends when it goes down; a dialler's goes back to greeting, for ever.
import type { Clock, Random } from '../clock.ts'
import type { MeshId, PeerId } from '../names.ts'
import type { TransportCounters } from '../transport.ts'
import { LinkReceiver } from './receiver.ts'
import { LinkSender } from './sender.ts'
import type { Hello } from './wire.ts'
import {
  ASK,
  BYE,
  HEARTBEAT,
  HELLO,
  PACK,
  decodeHeartbeat,
  decodeHello,
  encodeBare,
  encodeHeartbeat,
  encodeHello,
  packCount,
  packetKind,
  packetSession,
} from './wire.ts'

export const HEARTBEAT_MS = 1000
/** Silence after which the other side counts as gone: three heartbeats, as in architecture.md §6. */
export const SILENCE_MS = 3000
/** A connected channel on which nobody answers for so long is dialled anew. */
const REDIAL_MS = 10_000

/** What a transport gives a link to send with. */
export interface Channel {
  /** Hands a packet to the network, at once. What cannot be sent is lost; say so with link.lost(). */
  send(packet: Buffer): void
  /** The link has ended; nothing is sent after this. */
  close(): void
  /** Nobody has answered for long although the network says connected. */
  redial?(): void
}

/** What a link asks of the hub that owns it. */
export interface LinkHost {
  readonly meshId: MeshId
  readonly peerId: PeerId
  readonly clock: Clock
  readonly random: Random
  readonly counters: TransportCounters
  readonly queueBytesMax: number
  windowBytes(): number
  ownSubscriptions(): { readonly version: number; readonly patterns: readonly string[] }
  deliver(packs: readonly Buffer[], from: PeerId): Promise<void> | undefined
  /** A hello of another mesh arrived, and was refused. */
  onOtherMesh(meshId: MeshId): void
  /** A hello of this mesh arrived. False when its patterns are not valid. */
  onHello(hello: Hello): boolean
  seenVersion(peer: PeerId): number
  /** Room for what a link that is gone has received but not delivered; given back when delivered. */
  keepOrphans(cost: number): boolean
  releaseOrphans(cost: number): void
  onUp(link: Link): void
  onDown(link: Link): void
  /** The queue of the link got shorter, or credit came. */
  onProgress(link: Link): void
  onEnded(link: Link): void
}

export type LinkRole = 'dialler' | 'acceptor'
type LinkState = 'idle' | 'greeting' | 'up' | 'ended'

export class Link {
  /** Tells this link from the others of its hub. */
  readonly number: number
  readonly sender: LinkSender
  private readonly host: LinkHost
  private readonly channel: Channel
  private readonly role: LinkRole
  private readonly receiver: LinkReceiver
  private state: LinkState = 'idle'
  private session = 0
  private remoteSession = 0
  private heardMs = 0
  private greetingSinceMs = 0
  /** The other side, once it has said hello. */
  peer: PeerId | undefined
  /** For the pump: whether this link is on one of its lists, and when it last sent a pack. */
  isScheduled = false
  pumpedMs = Number.NEGATIVE_INFINITY

  constructor(host: LinkHost, channel: Channel, role: LinkRole, number: number) {
    this.number = number
    this.host = host
    this.channel = channel
    this.role = role
    this.sender = new LinkSender({
      queueBytesMax: host.queueBytesMax,
      counters: host.counters,
      send: (packet) => channel.send(packet),
      nowMs: () => host.clock.monotonicMs(),
    })
    this.receiver = new LinkReceiver({
      counters: host.counters,
      windowBytes: () => host.windowBytes(),
      deliver: (packs, from) => host.deliver(packs, from),
      grant: () => this.sendHeartbeat(),
      keep: (cost) => host.keepOrphans(cost),
      release: (cost) => host.releaseOrphans(cost),
    })
  }

  get isUp(): boolean {
    return this.state === 'up'
  }

  /** Differs from one session of this side to the next. */
  get life(): number {
    return this.session
  }

  /** The channel of a dialler can carry packets: now, or again. */
  connected(): void {
    if (this.state === 'ended') return
    this.down()
    this.greet()
  }

  /** The channel says that the other side is gone. */
  disconnected(): void {
    if (this.state === 'ended') return
    this.down()
    if (this.role === 'acceptor') this.end()
    else this.state = 'idle'
  }

  /** The network would not take this packet after all. */
  lost(packet: Buffer): void {
    if (packet[3] === PACK) this.sender.lost(packet)
  }

  /** Says goodbye and ends. */
  close(): void {
    if (this.state === 'ended') return
    if (this.state === 'up') this.channel.send(encodeBare(BYE, this.session))
    this.down()
    this.end()
  }

  /** Ends without a word, as a crash would. */
  abandon(): void {
    if (this.state === 'ended') return
    this.down()
    this.end()
  }

  receive(packet: Buffer): void {
    if (this.state === 'ended') return
    const kind = packetKind(packet)
    if (kind === undefined) {
      this.reject()
      return
    }
    if (kind === HELLO) this.onHello(packet)
    else if (kind === ASK) this.onAsk(packet)
    else if (this.state !== 'up' || packetSession(packet) !== this.remoteSession) {
      this.onStranger(kind, packet)
    } else {
      this.heardMs = this.host.clock.monotonicMs()
      if (kind === PACK) this.receiver.onPack(packet, this.peer!)
      else if (kind === HEARTBEAT) this.onHeartbeat(packet)
      else this.disconnectedByPeer()
    }
  }

  /** This process itself was away for so long: the other side is given that time again. */
  excuse(graceMs: number): void {
    this.heardMs += graceMs
  }

  /** Once per HEARTBEAT_MS. */
  tick(nowMs: number): void {
    if (this.state === 'up') {
      if (nowMs - this.heardMs > SILENCE_MS) {
        this.disconnected()
        if (this.role === 'dialler') this.greet()
      } else {
        // Also when packs are sent: it repeats the limit, in case that got lost.
        this.sendHeartbeat()
      }
    } else if (this.state === 'greeting') {
      if (nowMs - this.greetingSinceMs > REDIAL_MS && this.channel.redial !== undefined) {
        this.state = 'idle'
        this.channel.redial()
      } else {
        this.sendHello()
      }
    }
  }

  /** Sends something, to learn from the channel whether the other side is still there. */
  probe(): void {
    this.sendHeartbeat()
  }

  /** Own subscriptions have changed. */
  announce(): void {
    if (this.state === 'up') this.sendHello()
  }

  private greet(): void {
    this.state = 'greeting'
    this.greetingSinceMs = this.host.clock.monotonicMs()
    this.beginSession()
    this.sendHello()
  }

  private beginSession(): void {
    // 0 means "none heard yet" in an echo.
    this.session = 1 + Math.floor(this.host.random.next() * 0xffff_fffe)
    this.remoteSession = 0
    this.receiver.begin()
  }

  private onHello(packet: Buffer): void {
    const hello = decodeHello(packet)
    if (hello === undefined || hello.session === 0) {
      this.reject()
      return
    }
    if (hello.meshId !== this.host.meshId) {
      this.reject()
      this.host.onOtherMesh(hello.meshId)
      return
    }
    // A process that dialled its own endpoint: nobody to talk to.
    if (hello.peerId === this.host.peerId) return
    if (this.role === 'dialler') this.onAnswer(hello)
    else this.onGreeting(hello)
  }

  /** The dialler's side: an answer to its hello, or news of the other side's subscriptions. */
  private onAnswer(hello: Hello): void {
    if (this.state === 'idle' || hello.echo !== this.session) return
    if (this.state === 'up' && hello.session !== this.remoteSession) this.down()
    this.accept(hello)
  }

  /** The acceptor's side: the dialler begins a session, or has news of its subscriptions. */
  private onGreeting(hello: Hello): void {
    const isNew = this.state !== 'up' || hello.session !== this.remoteSession
    if (isNew) {
      this.down()
      this.beginSession()
    }
    if (!this.accept(hello)) return
    // Unanswered so far, or the answer was lost.
    if (hello.echo !== this.session) this.sendHello()
  }

  private accept(hello: Hello): boolean {
    const wasUp = this.state === 'up'
    // Within a session the other side stays who it is.
    if ((wasUp && hello.peerId !== this.peer) || !this.host.onHello(hello)) {
      this.reject()
      return false
    }
    this.peer = hello.peerId
    this.heardMs = this.host.clock.monotonicMs()
    if (wasUp) {
      this.allow(hello.limit)
    } else {
      this.remoteSession = hello.session
      this.state = 'up'
      this.sender.begin(this.session, hello.limit)
      this.host.onUp(this)
    }
    return true
  }

  /** The other side does not know this session: greet it anew. */
  private onAsk(packet: Buffer): void {
    if (this.role !== 'dialler' || this.state === 'idle') return
    if (packetSession(packet) !== this.session) return
    this.down()
    this.greet()
  }

  /** A packet of a session that is over, or that this side does not know. */
  private onStranger(kind: number, packet: Buffer): void {
    if (kind === PACK) {
      this.host.counters.droppedMessages += packCount(packet)
      this.host.counters.droppedBytes += packet.length
    }
    if (this.role === 'acceptor' && kind !== BYE) {
      this.channel.send(encodeBare(ASK, packetSession(packet)))
    }
  }

  private onHeartbeat(packet: Buffer): void {
    const heartbeat = decodeHeartbeat(packet)
    if (heartbeat === undefined) {
      this.reject()
      return
    }
    this.receiver.advance(heartbeat.sent)
    this.allow(heartbeat.limit)
    if (heartbeat.seenVersion < this.host.ownSubscriptions().version) this.sendHello()
  }

  private allow(limit: number): void {
    this.sender.allow(limit)
    if (this.sender.isReady) this.host.onProgress(this)
  }

  private disconnectedByPeer(): void {
    this.disconnected()
    // Whoever takes the endpoint over is greeted once the channel is there again; until the channel
    // notices, greet at each tick.
    if (this.role === 'dialler') this.greet()
  }

  private sendHello(): void {
    const { version, patterns } = this.host.ownSubscriptions()
    const { meshId, peerId } = this.host
    this.receiver.refreshLimit()
    this.channel.send(
      encodeHello({
        session: this.session,
        echo: this.remoteSession,
        meshId,
        peerId,
        limit: this.receiver.limit,
        version,
        patterns,
      }),
    )
  }

  private sendHeartbeat(): void {
    if (this.state !== 'up' || this.peer === undefined) return
    this.receiver.refreshLimit()
    this.channel.send(
      encodeHeartbeat(this.session, {
        sent: this.sender.sent,
        limit: this.receiver.limit,
        seenVersion: this.host.seenVersion(this.peer),
      }),
    )
  }

  private down(): void {
    if (this.state !== 'up') return
    this.state = 'idle'
    this.host.onDown(this)
    this.sender.discard()
  }

  private end(): void {
    this.state = 'ended'
    this.receiver.end()
    this.channel.close()
    this.host.onEnded(this)
  }

  private reject(): void {
    this.host.counters.rejectedMessages += 1
  }
}
