// A network inside one process, with faults on demand: the reference for all transports, and the
// network of the simulator. Everything random comes from the given Random and every delay from the
// given Clock, so that with a FakeClock and a seed a run repeats exactly.
//
//   transport ─ link ─ end ══ wire(from → to) ══► end ─ link ─ transport
//
// Packets travel on a timer even without delay: with the real clock a hop takes about a millisecond.
import type { Clock, Random } from '../clock.ts'
import type { PeerId } from '../names.ts'
import type { LinkTransportOptions } from '../links/link-transport.ts'
import { systemClock, systemRandom } from '../system.ts'
import { MemoryTransport } from './memory.ts'

export interface NetworkFaults {
  /** Part of the packets lost, 0 to 1; of a pack, all messages are lost together. */
  loss: number
  /** Part of the packets that arrive twice. */
  duplication: number
  /** Part of the packets that do not wait for those sent before. Needs a delay to show. */
  reordering: number
  /** Each packet takes between these two, in milliseconds. */
  delayMsMin: number
  delayMsMax: number
}

export interface NetworkCounters {
  packets: number
  bytes: number
  lost: number
  duplicated: number
  reordered: number
  /** Not carried because of a partition. */
  partitioned: number
}

export interface MemoryNetworkOptions {
  readonly clock: Clock
  readonly random: Random
  readonly faults?: Partial<NetworkFaults>
}

export interface MemoryTransportOptions extends Omit<LinkTransportOptions, 'clock' | 'random'> {
  /** Where others reach it; default `memory://<peer id>`. False: it only dials. */
  readonly endpoint?: string | false
  /** The process's own clock and random source; default the network's. */
  readonly clock?: Clock
  readonly random?: Random
}

export type MemoryNetwork = InProcessNetwork

export function createMemoryNetwork(options: MemoryNetworkOptions): MemoryNetwork {
  return new InProcessNetwork(options)
}

let network: MemoryNetwork | undefined

/** The network of those nodes of this process that are configured to use `memory`. */
export function processNetwork(): MemoryNetwork {
  network ??= createMemoryNetwork({ clock: systemClock, random: systemRandom })
  return network
}

/** One end of a connection, as its owner sees it. */
export interface MemoryEnd {
  readonly owner: PeerId
  readonly peer: PeerId
  send(packet: Buffer): void
  /** Ends the connection: here at once, on the other side after what was sent before. */
  close(): void
}

/** What the network calls at an end. */
export interface EndHandlers {
  onPacket(packet: Buffer): void
  onClosed(): void
}

/** A process that listens. */
export interface MemoryListener {
  readonly peerId: PeerId
  accept(end: MemoryEnd): EndHandlers
}

/** One direction of a connection. */
interface Wire {
  /** No packet sent later arrives before this, unless reordered. */
  lastDueMs: number
  /** In the order sent: each timer delivers the first, so that a coarse clock reorders nothing. */
  readonly inOrder: Buffer[]
}

/** 0 dialled, 1 was dialled. */
type Side = 0 | 1

class Connection {
  readonly ends: MemoryEnd[] = []
  readonly handlers: EndHandlers[] = []
  /** Per side, as with TCP: one side may have closed while the other still gets what was sent. */
  readonly isOpen = [true, true]
}

class InProcessNetwork {
  readonly clock: Clock
  readonly random: Random
  /** May be changed at any time; holds for packets sent from then on. */
  readonly faults: NetworkFaults
  readonly counters: NetworkCounters = {
    packets: 0,
    bytes: 0,
    lost: 0,
    duplicated: 0,
    reordered: 0,
    partitioned: 0,
  }
  private readonly listeners = new Map<string, MemoryListener>()
  private readonly connections = new Set<Connection>()
  private readonly transports = new Map<PeerId, MemoryTransport>()
  private readonly partitions = new Set<string>()

  constructor(options: MemoryNetworkOptions) {
    this.clock = options.clock
    this.random = options.random
    this.faults = {
      loss: 0,
      duplication: 0,
      reordering: 0,
      delayMsMin: 0,
      delayMsMax: 0,
      ...options.faults,
    }
  }

  /** A process on this network, not open yet. */
  transport(options: MemoryTransportOptions): MemoryTransport {
    return new MemoryTransport(this, options)
  }

  /** Who is on this network now. */
  peers(): PeerId[] {
    return [...this.transports.keys()]
  }

  /** Packets between the two vanish silently, both ways, until heal(). */
  partition(a: PeerId, b: PeerId): void {
    this.partitions.add(pairKey(a, b))
  }

  /** Ends one partition, or all of them. */
  heal(a?: PeerId, b?: PeerId): void {
    if (a === undefined || b === undefined) this.partitions.clear()
    else this.partitions.delete(pairKey(a, b))
  }

  isPartitioned(a: PeerId, b: PeerId): boolean {
    return this.partitions.has(pairKey(a, b))
  }

  /** Closes the connections between the two; whoever dialled dials again. */
  cut(a: PeerId, b: PeerId): void {
    for (const connection of this.connections) {
      const { owner, peer } = connection.ends[0]!
      if (pairKey(owner, peer) !== pairKey(a, b)) continue
      this.closeSide(connection, 0)
      this.closeSide(connection, 1)
    }
  }

  /** Ends a process without a word: its connections close, and nothing it had queued is sent. */
  async crash(peer: PeerId): Promise<void> {
    await this.transports.get(peer)?.crash()
  }

  /** For MemoryTransport. False when another process listens there. */
  listen(endpoint: string, listener: MemoryListener): boolean {
    if (this.listeners.has(endpoint)) return false
    this.listeners.set(endpoint, listener)
    return true
  }

  /** For MemoryTransport. */
  unlisten(endpoint: string, listener: MemoryListener): void {
    if (this.listeners.get(endpoint) === listener) this.listeners.delete(endpoint)
  }

  /** For MemoryTransport: it is running, until `left`. */
  joined(transport: MemoryTransport): void {
    this.transports.set(transport.peerId, transport)
  }

  left(transport: MemoryTransport): void {
    if (this.transports.get(transport.peerId) === transport) {
      this.transports.delete(transport.peerId)
    }
  }

  /** For MemoryTransport: a connection to whoever listens at `endpoint`; undefined when nobody can be reached. */
  connect(owner: PeerId, endpoint: string, handlers: EndHandlers): MemoryEnd | undefined {
    const listener = this.listeners.get(endpoint)
    if (listener === undefined || this.isPartitioned(owner, listener.peerId)) return undefined
    const connection = new Connection()
    const near = this.end(connection, 0, owner, listener.peerId)
    const far = this.end(connection, 1, listener.peerId, owner)
    connection.ends.push(near, far)
    connection.handlers.push(handlers, listener.accept(far))
    this.connections.add(connection)
    return near
  }

  private end(connection: Connection, side: Side, owner: PeerId, peer: PeerId): MemoryEnd {
    const wire: Wire = { lastDueMs: 0, inOrder: [] }
    return {
      owner,
      peer,
      send: (packet) => this.carry(connection, side, wire, packet),
      close: () => {
        if (!this.closeSide(connection, side) || this.isPartitioned(owner, peer)) return
        const delayMs = Math.max(0, wire.lastDueMs - this.clock.monotonicMs())
        this.clock.startTimer(delayMs, () => this.closeSide(connection, otherSide(side)))
      },
    }
  }

  private carry(connection: Connection, side: Side, wire: Wire, packet: Buffer): void {
    if (connection.isOpen[side] !== true) return
    const { owner, peer } = connection.ends[side]!
    this.counters.packets += 1
    this.counters.bytes += packet.length
    if (this.isPartitioned(owner, peer)) {
      this.counters.partitioned += 1
      return
    }
    if (this.happens(this.faults.loss)) {
      this.counters.lost += 1
      return
    }
    this.deliverLater(connection, side, wire, packet)
    if (this.happens(this.faults.duplication)) {
      this.counters.duplicated += 1
      this.deliverLater(connection, side, wire, packet)
    }
  }

  private deliverLater(connection: Connection, side: Side, wire: Wire, packet: Buffer): void {
    const { delayMsMin, delayMsMax, reordering } = this.faults
    const delayMs = delayMsMax > 0 ? delayMsMin + this.random.next() * (delayMsMax - delayMsMin) : 0
    const nowMs = this.clock.monotonicMs()
    const far = otherSide(side)
    const deliver = (arrived: Buffer): void => {
      if (connection.isOpen[far] === true) connection.handlers[far]!.onPacket(arrived)
    }
    // A copy: a receiver may not see what the sender does with its buffer later.
    const copy = Buffer.from(packet)
    if (this.happens(reordering)) {
      this.counters.reordered += 1
      this.clock.startTimer(delayMs, () => deliver(copy))
      return
    }
    wire.lastDueMs = Math.max(nowMs + delayMs, wire.lastDueMs)
    wire.inOrder.push(copy)
    this.clock.startTimer(wire.lastDueMs - nowMs, () => deliver(wire.inOrder.shift()!))
  }

  /** False when it was closed already. */
  private closeSide(connection: Connection, side: Side): boolean {
    if (connection.isOpen[side] !== true) return false
    connection.isOpen[side] = false
    if (connection.isOpen[otherSide(side)] !== true) this.connections.delete(connection)
    connection.handlers[side]!.onClosed()
    return true
  }

  private happens(probability: number): boolean {
    return probability > 0 && this.random.next() < probability
  }
}

const otherSide = (side: Side): Side => (side === 0 ? 1 : 0)

const pairKey = (a: PeerId, b: PeerId): string => (a < b ? `${a} ${b}` : `${b} ${a}`)
