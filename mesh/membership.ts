// Who is there. Every process runs one of these: it listens to `m/peers`, keeps the links its role
// needs, and tells the rest of the process which stores exist and which are suspect. Peers (not
// publishers) also announce themselves, each second and at once when something changes.
//
//   heard ──3 s of silence, or its link lost──► suspect ──heard again──► alive
//                                                  │
//                                     forgotten after 60 s, unless it is a member store
import {
  encodeAnnouncement,
  readAnnouncement,
  type Announcement,
  type PeerInfo,
} from './announcement.ts'
import type { Clock, Timer } from './clock.ts'
import { MeshError } from './errors.ts'
import {
  currentMembers,
  mergeTables,
  type MemberTable,
  type MemberWitness,
} from './member-table.ts'
import type { MeshId, PeerId, StoreId } from './names.ts'
import { PEERS_TOPIC } from './topic.ts'
import {
  isBrokerTransport,
  isPeerTransport,
  type Message,
  type PeerTransport,
  type Transport,
} from './transport.ts'

export const ANNOUNCE_MS = 1000
export const SUSPECT_AFTER_MS = 3000
const FORGET_AFTER_MS = 60_000
/** Peers of another mesh that are remembered as told of. */
const MISMATCHED_MAX = 1000

/** The mesh as all its processes must agree on it. */
export interface MeshIdentity {
  readonly id: MeshId
  readonly name: string
  /** R: stores that own a shard. */
  readonly replicas: number
  /** W: stores that must hold a frame before it counts as stored. */
  readonly writeQuorum: number
}

export interface StoreView {
  readonly storeId: StoreId
  /** The process that serves it, when one has been heard of, and what people call it. */
  readonly peer: PeerId | undefined
  readonly name: string | undefined
  readonly http: string | undefined
  readonly leaving: boolean
  readonly suspect: boolean
  readonly refusing: string | undefined
  /** Bytes a publisher may send before the first ack. */
  readonly grantBytes: number | undefined
}

export interface PeerView extends PeerInfo {
  readonly suspect: boolean
  readonly heardMsAgo: number
}

export interface MembershipOptions {
  readonly mesh: MeshIdentity
  readonly transport: Transport
  readonly clock: Clock
  readonly seeds: readonly string[]
  /** Which peers this process keeps a link to; seeds always. Default: storage peers. */
  readonly wants?: (peer: PeerInfo) => boolean
  /** What this process announces; absent for publishers and askers, which only listen. */
  readonly announce?: () => { self: PeerInfo; members: MemberTable; grantBytes?: number }
  /** Called when something an observer could see has changed. */
  readonly onChange?: () => void
  /** Called for each announcement of this mesh, before the views change. */
  readonly onAnnouncement?: (announcement: Announcement) => void
  /** Called once per peer that names this mesh with other R, W or id: it is not talked to. */
  readonly onMismatch?: (announcement: Announcement) => void
  /** Called for an announced endpoint that nobody can link to. */
  readonly onBadEndpoint?: (endpoint: string, reason: string) => void
}

interface PeerRecord {
  info: PeerInfo
  heardAtMs: number
  /** The link to it was lost after it was last heard. */
  linkLost: boolean
  grantBytes: number | undefined
  witness: MemberWitness | undefined
}

/** What readers of the membership see. */
export type MembershipView = Pick<Membership, 'stores' | 'peers' | 'members' | 'witnesses'>

export class Membership {
  private readonly options: MembershipOptions
  private readonly links: PeerTransport | undefined
  private readonly records = new Map<PeerId, PeerRecord>()
  private readonly mismatched = new Set<PeerId>()
  private readonly dialled = new Set<string>()
  private table: MemberTable = new Map()
  private timer: Timer | undefined
  private closed = false
  private lastView = ''
  /** When anybody was last heard. */
  private heardLastMs: number | undefined
  /** Since when the broker is away. */
  private deafSinceMs: number | undefined
  /** What stores say of the membership is part of the view: a store waits for their word to join. */
  private witnessChanges = 0

  constructor(options: MembershipOptions) {
    this.options = options
    this.links = isPeerTransport(options.transport) ? options.transport : undefined
  }

  /**
   * Subscribes, dials the seeds and begins to announce. Start order of peers does not matter.
   * @throws MeshError MESH_ADDRESS_INVALID for a seed that is no address.
   */
  async start(): Promise<void> {
    const { transport } = this.options
    await transport.subscribe(PEERS_TOPIC, (batch) => this.receive(batch))
    this.links?.onLink(({ peer, up }) => this.linkChanged(peer, up))
    if (isBrokerTransport(transport)) {
      this.connectionChanged(transport.isConnected)
      transport.onConnection((isConnected) => this.connectionChanged(isConnected))
    }
    // A seed that is no address is this process's own mistake, and is thrown.
    for (const seed of this.options.seeds) {
      if (seed === this.links?.endpoint) continue
      this.dialled.add(seed)
      this.links?.link(seed)
    }
    this.relink()
    this.tick()
  }

  stop(): void {
    this.closed = true
    this.timer?.cancel()
  }

  /** Announces at once, to everybody or to one peer; call after a change others should see soon. */
  announce(to?: PeerId): void {
    const { announce, transport, mesh, clock } = this.options
    if (announce === undefined || this.closed) return
    const now = clock.monotonicMs()
    const { self, members, grantBytes } = announce()
    const known = [...this.records.values()].map((record) => ({
      ...record.info,
      heardMsAgo: now - record.heardAtMs,
    }))
    const { id, name, replicas, writeQuorum } = mesh
    const bytes = encodeAnnouncement({
      mesh: id,
      meshName: name,
      replicas,
      writeQuorum,
      self,
      grantBytes,
      members,
      known,
    })
    transport.publish(PEERS_TOPIC, bytes, to)
  }

  /** Every store that is or was a member and is not removed, with the process that serves it. */
  stores(): StoreView[] {
    const own = this.ownStore()
    const stores = currentMembers(this.table).filter((storeId) => storeId !== own?.storeId)
    const views = stores.map((storeId) => this.otherStore(storeId))
    return own === undefined ? views : [own, ...views]
  }

  storeView(storeId: StoreId): StoreView {
    const own = this.ownStore()
    return own?.storeId === storeId ? own : this.otherStore(storeId)
  }

  private otherStore(storeId: StoreId): StoreView {
    const record = this.storeRecord(storeId)
    return {
      storeId,
      peer: record?.info.id,
      name: record?.info.name,
      http: record?.info.http,
      leaving: this.table.get(storeId) !== 'member',
      suspect: record === undefined || this.isSuspect(record),
      refusing: record?.info.refusing,
      grantBytes: record?.grantBytes,
    }
  }

  peers(): PeerView[] {
    const now = this.options.clock.monotonicMs()
    return [...this.records.values()].map((record) => ({
      ...record.info,
      suspect: this.isSuspect(record),
      heardMsAgo: now - record.heardAtMs,
    }))
  }

  /** The union of all member tables heard. */
  members(): MemberTable {
    return this.table
  }

  /** What the stores heard directly say of the membership. */
  witnesses(): MemberWitness[] {
    return [...this.records.values()].flatMap(({ witness }) => witness ?? [])
  }

  /** The store of this very process, which nobody announces to it. */
  private ownStore(): StoreView | undefined {
    const { announce, transport } = this.options
    const { self, members, grantBytes } = announce?.() ?? {}
    if (self?.storeId === undefined) return undefined
    const { storeId, name, http, refusing } = self
    const state = members?.get(storeId) ?? this.table.get(storeId) ?? 'member'
    if (state === 'removed') return undefined
    const leaving = state === 'leaving'
    const peer = transport.peerId
    return { storeId, peer, name, http, leaving, suspect: false, refusing, grantBytes }
  }

  private receive(batch: readonly Message[]): void {
    if (this.closed) return
    for (const { bytes } of batch) {
      const announcement = readAnnouncement(bytes)
      if (announcement !== undefined) this.hear(announcement)
    }
  }

  private hear(announcement: Announcement): void {
    const { mesh, transport, onAnnouncement, onMismatch } = this.options
    const { self } = announcement
    if (self.id === transport.peerId) return
    this.heardLastMs = this.options.clock.monotonicMs()
    const same =
      announcement.mesh === mesh.id &&
      announcement.replicas === mesh.replicas &&
      announcement.writeQuorum === mesh.writeQuorum
    if (!same) {
      if (!this.mismatched.has(self.id)) onMismatch?.(announcement)
      if (this.mismatched.size < MISMATCHED_MAX) this.mismatched.add(self.id)
      return
    }
    onAnnouncement?.(announcement)
    this.note(self, 0, true)
    const record = this.records.get(self.id)
    if (record !== undefined) {
      record.grantBytes = announcement.grantBytes
      if (self.storeId !== undefined) {
        const { storeId, joined = false } = self
        const known = record.witness?.table
        if (known === undefined || mergeTables(known, announcement.members) !== known) {
          this.witnessChanges += 1
        }
        record.witness = { storeId, joined, table: announcement.members }
      }
    }
    this.table = mergeTables(this.table, announcement.members)
    for (const { heardMsAgo, ...info } of announcement.known) {
      if (info.id !== transport.peerId) this.note(info, heardMsAgo, false)
    }
    this.relink()
    this.changed()
  }

  /** Takes in what is known of a peer, from itself or by hearsay. */
  private note(info: PeerInfo, heardMsAgo: number, direct: boolean): void {
    if (heardMsAgo > FORGET_AFTER_MS && !this.isMemberStore(info)) return
    if (this.isOutlived(info)) return
    const heardAtMs = this.options.clock.monotonicMs() - heardMsAgo
    const record = this.records.get(info.id)
    if (record === undefined) {
      this.records.set(info.id, {
        info,
        heardAtMs,
        linkLost: false,
        grantBytes: undefined,
        witness: undefined,
      })
      this.forgetOutlived(info)
      return
    }
    if (direct || heardAtMs > record.heardAtMs) {
      record.info = info
      record.heardAtMs = Math.max(record.heardAtMs, heardAtMs)
    }
    // Only the peer itself can say that a lost link is no matter.
    if (direct) record.linkLost = false
  }

  /** Member stores are not forgotten: their disks hold what others may lack, wherever they are. */
  private isMemberStore({ storeId }: PeerInfo): boolean {
    const state = storeId === undefined ? undefined : this.table.get(storeId)
    return state === 'member' || state === 'leaving'
  }

  /** A later process already serves this disk. */
  private isOutlived(info: PeerInfo): boolean {
    const living = info.storeId === undefined ? undefined : this.storeRecord(info.storeId)
    return living !== undefined && living.info.incarnation > info.incarnation
  }

  private forgetOutlived(info: PeerInfo): void {
    if (info.storeId === undefined) return
    for (const [id, { info: other }] of this.records) {
      const outlived = other.storeId === info.storeId && other.incarnation < info.incarnation
      if (outlived) this.records.delete(id)
    }
  }

  private storeRecord(storeId: StoreId): PeerRecord | undefined {
    let newest: PeerRecord | undefined
    for (const record of this.records.values()) {
      if (record.info.storeId !== storeId) continue
      if (newest === undefined || record.info.incarnation > newest.info.incarnation) newest = record
    }
    return newest
  }

  private isSuspect(record: PeerRecord): boolean {
    if (record.linkLost) return true
    // Whoever hears nobody cannot tell who is silent.
    return this.hearingMs() - record.heardAtMs > SUSPECT_AFTER_MS
  }

  /** The time until which silence means something. */
  private hearingMs(): number {
    return this.deafSinceMs ?? this.options.clock.monotonicMs()
  }

  /** The way to the broker, over which everybody is heard. */
  private connectionChanged(isConnected: boolean): void {
    const nowMs = this.options.clock.monotonicMs()
    if (!isConnected) {
      // A connection that is lost silently is known to be some seconds later.
      this.deafSinceMs ??= Math.min(nowMs, this.heardLastMs ?? nowMs)
      return
    }
    const deafMs = nowMs - (this.deafSinceMs ?? nowMs)
    this.deafSinceMs = undefined
    for (const record of this.records.values()) record.heardAtMs += deafMs
    this.announce()
  }

  private linkChanged(peer: PeerId, up: boolean): void {
    const record = this.records.get(peer)
    if (up) this.announce(peer)
    // A link that this side gave up says nothing about the other side.
    else if (record !== undefined && this.dialled.has(record.info.endpoint ?? '')) {
      record.linkLost = true
    }
    this.changed()
  }

  /** Links to the seeds and to every peer this role wants; drops links to peers long gone. */
  relink(): void {
    if (this.links === undefined || this.closed) return
    const { seeds, wants = (peer) => peer.roles.includes('storage') } = this.options
    const wanted = new Set(seeds)
    for (const { info } of this.records.values()) {
      if (info.endpoint !== undefined && wants(info)) wanted.add(info.endpoint)
    }
    if (this.links.endpoint !== undefined) wanted.delete(this.links.endpoint)
    for (const endpoint of wanted) if (!this.dialled.has(endpoint)) this.dial(endpoint)
    for (const endpoint of this.dialled) {
      if (wanted.has(endpoint)) continue
      this.dialled.delete(endpoint)
      this.links.unlink(endpoint)
    }
  }

  private dial(endpoint: string): void {
    this.dialled.add(endpoint)
    try {
      this.links!.link(endpoint)
    } catch (error) {
      // What somebody announced is no address: that must not end those who hear of it.
      if (!(error instanceof MeshError)) throw error
      this.options.onBadEndpoint?.(endpoint, error.message)
    }
  }

  private tick(): void {
    if (this.closed) return
    const now = this.hearingMs()
    for (const [id, record] of this.records) {
      if (now - record.heardAtMs > FORGET_AFTER_MS && !this.isMemberStore(record.info)) {
        this.records.delete(id)
      }
    }
    this.relink()
    this.announce()
    this.changed()
    this.timer = this.options.clock.startTimer(ANNOUNCE_MS, () => this.tick())
  }

  /** Tells the observer when what it can see differs from what it last saw. */
  private changed(): void {
    if (this.closed) return
    const peers = [...this.records.values()].map((record) => {
      // These change all the time, and nobody acts on them.
      const { links: _, lagFrames: __, ...info } = record.info
      return [info, this.isSuspect(record)]
    })
    const view = JSON.stringify([peers, [...this.table], this.witnessChanges])
    if (view === this.lastView) return
    this.lastView = view
    this.options.onChange?.()
  }
}
