// A storage peer's place in the mesh: its membership, its session, and what it knows of the others.
// The session announces what the member table on disk says, and the table learns from announcements.
import {
  isBrokerTransport,
  isHttpTransport,
  isPeerTransport,
  systemClock,
  type Session,
  type StoreId,
} from '../../mesh/index.ts'
import { StoreMember, type Member } from '../../storage/index.ts'
import type { Config } from '../config/config.ts'
import { openSession } from '../session.ts'
import { hasSeeds, needsFounder } from '../transport.ts'
import type { StoreDisk } from './disk.ts'
import { ownedShards, takenShards, whyRefusing, whyWaiting } from './standing.ts'

/** How long a founder listens for a mesh that exists; members announce themselves each second. */
const LISTEN_MS = 2_000
const LISTEN_STEP_MS = 250
/** By then every member that is up has been heard. */
const HEARD_ALL_MS = 5_000

export interface PlaceOptions {
  readonly config: Config
  readonly name: string
  readonly disk: StoreDisk
  /** The address that its HTTP server has, once it has one. */
  readonly http: () => string | undefined
  readonly grantBytes: () => number
  /** Others are members or suspect than before: some may have what this store lacks. */
  readonly onOthersChanged: () => void
  /** The stores, or what is known of them, have changed. */
  readonly onStoresChanged: () => void
  readonly lagFrames: () => number
  readonly onWarning: (message: string) => void
}

export class Place implements AsyncDisposable {
  readonly storeId: StoreId
  readonly member: StoreMember
  private readonly options: PlaceOptions
  /** Announcements arrive before open() has returned it. */
  private opened: Session | undefined
  private suspects = ''
  /** Since when others can be heard. */
  private hearingSinceMs = Infinity
  private isClosed = false

  private constructor(options: PlaceOptions) {
    const { config, disk } = options
    this.options = options
    this.storeId = disk.directory.identity.storeId
    this.member = new StoreMember({
      storeId: this.storeId,
      writeQuorum: config.mesh.writeQuorum,
      document: disk.members,
      membership: () => this.opened?.membership,
      onChange: () => {
        this.opened?.membership.announce()
        options.onStoresChanged()
        options.onOthersChanged()
      },
    })
  }

  /** @throws MeshError MESH_ADDRESS_IN_USE, MESH_ADDRESS_INVALID; NodeError NODE_START_FAILED. */
  static async open(options: PlaceOptions): Promise<Place> {
    const place = new Place(options)
    await place.member.load()
    place.opened = await place.openSession()
    place.listenForStores()
    if (place.isFirst) await place.member.found()
    else if (place.isFounder) place.foundWhenAlone()
    return place
  }

  get session(): Session {
    return this.opened!
  }

  /** Where others link to it. */
  get endpoint(): string | undefined {
    const { transport } = this.session
    return isPeerTransport(transport) ? transport.endpoint : undefined
  }

  /** Whether it may take frames at all. */
  get isMember(): boolean {
    return this.member.joined && !this.member.isLeaving
  }

  /** Why it acknowledges nothing; undefined when it does. */
  refusing(): string | undefined {
    const { disk } = this.options
    const witnesses = this.opened?.membership.witnesses() ?? []
    const trouble = this.opened?.transport.trouble()
    if (trouble !== undefined) return trouble
    return whyRefusing(disk, this.member, () => {
      return whyWaiting(witnesses, { ...this.options.config, seeds: this.seeds })
    })
  }

  /** Its own table, and where each store can be asked. */
  members(): Member[] {
    const { membership } = this.session
    return [...this.member.members].map(([storeId, state]) => {
      const isThis = storeId === this.storeId
      const http = isThis ? this.advertisedHttp() : membership.storeView(storeId).http
      return { storeId, state, http }
    })
  }

  ownedShards(): number[] {
    return ownedShards(this.member.members, this.storeId, this.options.config.mesh.replicas)
  }

  /** The shards whose frames it takes now: its own, and those of stores that are away. */
  takenShards(): ReadonlySet<number> {
    if (!this.isMember) return new Set()
    // It knows of others before it hears them: those are not away.
    if (systemClock.monotonicMs() - this.hearingSinceMs < HEARD_ALL_MS) {
      return new Set(this.ownedShards())
    }
    const { replicas } = this.options.config.mesh
    return takenShards(this.session.membership.stores(), this.storeId, replicas)
  }

  /** Everything is open: what was heard meanwhile may have confirmed this store. */
  announce(): void {
    this.member.review()
    this.session.membership.announce()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.isClosed = true
    await this.session.close()
    await this.member.settled()
  }

  private async openSession(): Promise<Session> {
    const { config, name, disk, grantBytes, lagFrames, onWarning } = this.options
    const { storeId, member, seeds } = this
    const incarnation = await disk.directory.beginLife(systemClock)
    const hooks = {
      incarnation,
      http: () => this.advertisedHttp(),
      store: () => ({
        storeId,
        joined: member.joined,
        members: member.members,
        refusing: this.refusing(),
        grantBytes: grantBytes(),
        lagFrames: lagFrames(),
      }),
      onAnnouncement: (announcement: Parameters<StoreMember['hear']>[0]) =>
        member.hear(announcement),
      onChange: () => this.othersChanged(),
    }
    return await openSession(
      { ...config, seeds },
      { roles: ['storage'], name, ...hooks, onWarning },
    )
  }

  private othersChanged(): void {
    if (this.opened === undefined) return
    const { membership } = this.opened
    this.member.review()
    const suspects = membership
      .stores()
      .filter(({ suspect }) => suspect)
      .map(({ storeId }) => storeId)
      .join()
    if (suspects !== this.suspects) this.options.onOthersChanged()
    this.options.onStoresChanged()
    this.suspects = suspects
    const known = membership
      .peers()
      .filter(({ storeId, suspect }) => storeId !== undefined && !suspect)
    this.member.remember(known.flatMap(({ endpoint }) => endpoint ?? []))
  }

  /** As configured, and where it last met others: whichever of them is up is enough. */
  private get seeds(): string[] {
    return [...new Set([...this.options.config.seeds, ...this.member.endpoints])]
  }

  private advertisedHttp(): string | undefined {
    const { advertise } = this.options.config.storage.http
    if (advertise !== 'auto') return advertise
    // No address leads to a peer behind NAT; its transport does.
    const transport = this.opened?.transport
    if (transport !== undefined && isHttpTransport(transport)) return this.endpoint
    return this.options.http()
  }

  /** Nobody else is named as a seed: this store founds the mesh, unless it is a member of one. */
  private get isFirst(): boolean {
    const { seeds, transport } = this.options.config
    if (!hasSeeds(transport.name)) return false
    const { bind, advertise } = transport.name === 'zeromq' ? transport : {}
    const own = [this.endpoint, bind, advertise]
    return seeds.every((seed) => own.includes(seed))
  }

  /** Where there are no seeds to tell, it is said by name who founds the mesh. */
  private get isFounder(): boolean {
    const { transport, mesh } = this.options.config
    return needsFounder(transport.name) && mesh.founder === this.options.name
  }

  /** What others own is taken only from those that had time to say that they are there. */
  private listenForStores(): void {
    const { transport } = this.session
    const hearing = (): void => {
      this.hearingSinceMs = systemClock.monotonicMs()
      systemClock.startTimer(HEARD_ALL_MS, () => {
        if (!this.isClosed) this.options.onStoresChanged()
      })
    }
    if (!isBrokerTransport(transport)) return
    if (transport.isConnected) hearing()
    transport.onConnection((isConnected) => {
      if (isConnected) hearing()
      else this.hearingSinceMs = Infinity
    })
  }

  /** A founder that lost its disk must join the mesh it founded, so it listens for one first. */
  private foundWhenAlone(): void {
    if (this.member.isOfMesh) return
    let heardMs = 0
    const listen = (): void => {
      if (this.isClosed || this.member.joined) return
      heardMs = this.session.transport.trouble() === undefined ? heardMs + LISTEN_STEP_MS : 0
      if (heardMs > LISTEN_MS) void this.member.found()
      // Until it is a member: a disk that was full may have kept it from founding.
      systemClock.startTimer(LISTEN_STEP_MS, listen)
    }
    listen()
  }
}
