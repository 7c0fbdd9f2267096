// Everything about links that does not depend on what carries them: a hub owns the links of one
// process, queues what is published on them, and hands what they receive to the subscribers.
//
// A process does not receive what it publishes itself, neither by pattern nor `to` itself: whoever
// wants that has the message in hand already.
import type { Clock, Random, Timer } from '../clock.ts'
import { MeshError } from '../errors.ts'
import type { MeshId, PeerId } from '../names.ts'
import { newTransportCounters, type BatchHandler, type SubscriptionScope } from '../transport.ts'
import type { Channel, LinkHost } from './link.ts'
import { HEARTBEAT_MS, Link } from './link.ts'
import { Peers } from './peers.ts'
import { LinkPump } from './pump.ts'
import { LocalSubscriptions } from './subscriptions.ts'
import type { Hello, Outgoing } from './wire.ts'
import {
  ASK,
  BYE,
  HELLO,
  MESSAGE_BYTES_MAX,
  encodeBare,
  packetKind,
  packetSession,
  readPack,
} from './wire.ts'

/** Heartbeats are spread over a second in as many parts, so that 10,000 links do not beat at once. */
const TICK_PARTS = 4
const TICK_MS = HEARTBEAT_MS / TICK_PARTS

/** What all links together may have on its way to us; each gets its part, within the bounds below. */
const WINDOW_BYTES_TOTAL = 64 * 1024 * 1024
const WINDOW_BYTES_MIN = 256 * 1024
const WINDOW_BYTES_MAX = 4 * 1024 * 1024

/** What links that are gone may leave behind for handlers that are still busy. */
const ORPHAN_BYTES_MAX = 64 * 1024 * 1024

export const LINK_QUEUE_BYTES = 16 * 1024 * 1024

/** Other meshes that are remembered as told of; those beyond are refused without a word. */
const OTHER_MESHES_MAX = 100

export interface LinkHubOptions {
  readonly meshId: MeshId
  readonly peerId: PeerId
  readonly clock: Clock
  readonly random: Random
  /** Limit of each link's queue; default 16 MiB. */
  readonly linkQueueBytes?: number
  /** Calls back when this turn of the event loop ends; absent where turns mean nothing (simulation). */
  readonly afterTurn?: (callback: () => void) => void
  /** Called once for each other mesh of which a peer wants a link here; it gets none. */
  readonly onOtherMesh?: ((meshId: MeshId) => void) | undefined
}

export class LinkHub implements LinkHost {
  readonly meshId: MeshId
  readonly peerId: PeerId
  readonly clock: Clock
  readonly random: Random
  readonly queueBytesMax: number
  readonly counters = newTransportCounters()
  readonly peers = new Peers()
  private readonly subscriptions = new LocalSubscriptions(this.counters)
  private readonly pump: LinkPump
  private readonly links = new Set<Link>()
  private readonly otherMeshes = new Set<MeshId>()
  private readonly tellOtherMesh: ((meshId: MeshId) => void) | undefined
  private isAnnouncing = false
  private timer: Timer | undefined
  private linksMade = 0
  private orphanBytes = 0
  private tickDueMs = 0
  private tickPart = 0

  constructor(options: LinkHubOptions) {
    this.meshId = options.meshId
    this.peerId = options.peerId
    this.clock = options.clock
    this.random = options.random
    this.queueBytesMax = options.linkQueueBytes ?? LINK_QUEUE_BYTES
    this.tellOtherMesh = options.onOtherMesh
    this.pump = new LinkPump(options.clock, options.afterTurn)
  }

  start(): void {
    this.armTick()
  }

  /** Ends all links, with a farewell unless the process is to look crashed. */
  stop(farewell: boolean): void {
    this.timer?.cancel()
    this.timer = undefined
    this.subscriptions.clear()
    for (const link of this.links) {
      if (farewell) link.close()
      else link.abandon()
    }
    this.pump.stop()
  }

  /** A link that this process dials; greets when its channel is connected(). */
  dial(channel: Channel): Link {
    const link = new Link(this, channel, 'dialler', this.nextNumber())
    this.links.add(link)
    return link
  }

  /** A link for a channel that was dialled by the other side. */
  accept(channel: Channel): Link {
    const link = new Link(this, channel, 'acceptor', this.nextNumber())
    this.links.add(link)
    return link
  }

  /**
   * A packet on a channel without a link, where channels are only known by their packets. Returns
   * the new link when it was a good hello; otherwise answers by `reply`, or counts it as rejected.
   */
  meet(packet: Buffer, channel: Channel): Link | undefined {
    const kind = packetKind(packet)
    if (kind === HELLO) {
      const link = this.accept(channel)
      link.receive(packet)
      if (link.isUp) return link
      link.abandon()
    } else if (kind === undefined) {
      this.counters.rejectedMessages += 1
    } else if (kind !== ASK && kind !== BYE) {
      channel.send(encodeBare(ASK, packetSession(packet)))
    }
    return undefined
  }

  publish(topic: string, bytes: Uint8Array, to: PeerId | undefined): boolean {
    if (bytes.length > MESSAGE_BYTES_MAX) {
      throw new MeshError(
        'MESH_MESSAGE_TOO_LARGE',
        `message of ${bytes.length} bytes exceeds ${MESSAGE_BYTES_MAX} (topic ${topic})`,
      )
    }
    const route = this.peers.route(topic)
    if (to !== undefined) return this.publishTo(to, { topic: route.topic, bytes })
    const { links } = route
    if (links.length === 0) return true
    const message: Outgoing = { topic: route.topic, bytes, directed: false, owned: false }
    let hasRoom = true
    for (const link of links) if (!this.pump.push(link, message)) hasRoom = false
    return hasRoom
  }

  subscribe(pattern: string, onBatch: BatchHandler, scope: SubscriptionScope): () => void {
    const { version } = this.subscriptions
    const remove = this.subscriptions.add(pattern, scope, onBatch)
    this.announceSince(version)
    return () => {
      const { version } = this.subscriptions
      remove()
      this.announceSince(version)
    }
  }

  flush(): Promise<void> {
    return this.pump.flush()
  }

  queuedBytes(): number {
    return this.pump.queuedBytes()
  }

  windowBytes(): number {
    const part = WINDOW_BYTES_TOTAL / Math.max(1, this.links.size)
    return Math.floor(Math.min(WINDOW_BYTES_MAX, Math.max(WINDOW_BYTES_MIN, part)))
  }

  ownSubscriptions(): { readonly version: number; readonly patterns: readonly string[] } {
    return this.subscriptions
  }

  deliver(packs: readonly Buffer[], from: PeerId): Promise<void> | undefined {
    const { counters, subscriptions } = this
    for (const pack of packs) {
      readPack(pack, (topic, bytes, directed) => {
        if (subscriptions.collect({ topic, bytes, from }, directed)) {
          counters.receivedMessages += 1
          counters.receivedBytes += bytes.length
        } else {
          counters.rejectedMessages += 1
        }
      })
    }
    return subscriptions.deliver()
  }

  /** They knock again each second: that is told once, and counted each time. */
  onOtherMesh(meshId: MeshId): void {
    if (this.otherMeshes.has(meshId) || this.otherMeshes.size >= OTHER_MESHES_MAX) return
    this.otherMeshes.add(meshId)
    this.tellOtherMesh?.(meshId)
  }

  onHello(hello: Hello): boolean {
    return this.peers.onHello(hello.peerId, hello)
  }

  seenVersion(peer: PeerId): number {
    return this.peers.seenVersion(peer)
  }

  keepOrphans(cost: number): boolean {
    if (this.orphanBytes + cost > ORPHAN_BYTES_MAX) return false
    this.orphanBytes += cost
    return true
  }

  releaseOrphans(cost: number): void {
    this.orphanBytes -= cost
  }

  onUp(link: Link): void {
    this.peers.up(link.peer!, link)
  }

  onDown(link: Link): void {
    const peer = link.peer!
    this.peers.down(peer, link)
    // What had not left yet takes another link to the same peer, if there is one.
    const other = this.peers.linkTo(peer)
    if (other !== undefined) {
      for (const message of link.sender.drain()) this.pump.push(other, message)
    }
    this.pump.forget(link)
  }

  onProgress(link: Link): void {
    this.pump.schedule(link)
  }

  onEnded(link: Link): void {
    this.links.delete(link)
    this.pump.forget(link)
  }

  private nextNumber(): number {
    this.linksMade += 1
    return this.linksMade
  }

  private publishTo(to: PeerId, message: Pick<Outgoing, 'topic' | 'bytes'>): boolean {
    const link = this.peers.linkTo(to)
    if (link === undefined) {
      this.counters.droppedMessages += 1
      this.counters.droppedBytes += message.bytes.length
      return false
    }
    const { topic, bytes } = message
    return this.pump.push(link, { topic, bytes, directed: true, owned: false })
  }

  private announceSince(version: number): void {
    if (this.subscriptions.version === version || this.isAnnouncing) return
    this.isAnnouncing = true
    queueMicrotask(() => {
      this.isAnnouncing = false
      for (const link of this.links) link.announce()
    })
  }

  private armTick(): void {
    this.tickDueMs = this.clock.monotonicMs() + TICK_MS
    this.timer = this.clock.startTimer(TICK_MS, () => this.tick())
  }

  private tick(): void {
    const nowMs = this.clock.monotonicMs()
    // A process that was itself held up (a debugger, a suspended laptop) has not listened: it must
    // not take that for the others' silence.
    const graceMs = Math.max(0, nowMs - this.tickDueMs - TICK_MS)
    for (const link of this.links) {
      if (graceMs > 0) link.excuse(graceMs)
      if (link.number % TICK_PARTS === this.tickPart) link.tick(nowMs)
    }
    this.tickPart = (this.tickPart + 1) % TICK_PARTS
    this.pump.checkFlushes()
    this.armTick()
  }
}
