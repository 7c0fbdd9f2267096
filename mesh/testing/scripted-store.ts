// A storage peer for tests of the publisher's side of the contract: it speaks the real wire over the
// memory network, keeps frames in a Map, and does what the test tells it: stop acknowledging, answer
// with conflicts, leave. Real stores are tested in storage/ and test/.
import { encodeAck, type AckLevel, type Conflict, type LaneAck } from '../ack.ts'
import type { Announcement } from '../announcement.ts'
import type { Clock, Random } from '../clock.ts'
import type { FakeClock } from '../fake-clock.ts'
import { readFrame, type Frame } from '../frame.ts'
import { IntervalSet } from '../intervals.ts'
import { mergeTables, type MemberTable } from '../member-table.ts'
import { readMessage } from '../message.ts'
import { newStoreId, type LaneKey, type PeerId, type StoreId } from '../names.ts'
import { meshIdentity, Session } from '../session.ts'
import { ackTopic, framesTopic } from '../topic.ts'
import type { MemoryNetwork } from '../transports/memory-network.ts'
import type { Message, Transport } from '../transport.ts'

export const TEST_MESH = meshIdentity('test', 2, 2)

export interface ScriptedStoreOptions {
  /** Not open yet. */
  readonly transport: Transport
  readonly clock: Clock
  readonly random: Random
  readonly seeds?: readonly string[]
  readonly members: MemberTable
  readonly storeId?: StoreId
}

export class ScriptedStore {
  readonly storeId: StoreId
  readonly frames = new Map<string, Frame>()
  /** Topics of the messages that carried frames, in order. */
  readonly topics: string[] = []
  repeats = 0
  /** While false frames are taken, and nothing is said. */
  acknowledges = true
  grantBytes = 1 << 20
  /** What its acks say. */
  level: AckLevel = 'synced'
  /** Levels its publishers asked for, in the order of their messages. */
  readonly wanted: AckLevel[] = []
  members: MemberTable
  /** Names this store claims to hold with other bytes. */
  readonly conflicting = new Set<string>()
  readonly session: Session
  private readonly options: ScriptedStoreOptions
  private readonly held = new Map<LaneKey, IntervalSet>()
  private readonly unsaid: { publisher: PeerId; frame: Frame }[] = []

  constructor(options: ScriptedStoreOptions) {
    this.options = options
    const { transport, clock, random, seeds = [] } = options
    this.storeId = options.storeId ?? newStoreId(random)
    this.members = mergeTables(options.members, new Map([[this.storeId, 'member']]))
    this.session = new Session({
      mesh: TEST_MESH,
      clock,
      random,
      seeds,
      roles: ['storage'],
      transport,
      store: () => ({
        storeId: this.storeId,
        joined: true,
        grantBytes: this.grantBytes,
        members: this.members,
      }),
      onAnnouncement: (announcement) => this.hear(announcement),
    })
  }

  async open(): Promise<void> {
    await this.session.open()
    const { transport } = this.session
    const { brokered } = transport.capabilities
    for (const pattern of brokered ? ['t/>', 'b/>'] : [framesTopic(this.storeId)]) {
      await transport.subscribe(pattern, (batch) => this.receive(batch), 'directed')
    }
  }

  /** Says what it holds of everything it kept silent about. */
  speak(): void {
    this.acknowledges = true
    for (const { publisher, frame } of this.unsaid.splice(0)) this.answer(publisher, [frame])
  }

  has(frame: Pick<Frame, 'laneKey' | 'sequence'>): boolean {
    return this.held.get(frame.laneKey)?.has(frame.sequence) ?? false
  }

  private hear({ self, members }: Announcement): void {
    this.members = mergeTables(this.members, members)
    if (self.storeId !== undefined) {
      this.members = mergeTables(this.members, new Map([[self.storeId, 'member']]))
    }
  }

  private receive(batch: readonly Message[]): void {
    for (const { topic, bytes } of batch) {
      const message = readMessage(Buffer.from(bytes), TEST_MESH.id)
      if (typeof message === 'string') throw new Error(`not a message: ${message}`)
      this.topics.push(topic)
      this.wanted.push(message.level)
      const frames = message.frames.map((view) => readFrame(view) as Frame)
      for (const frame of frames) this.keep(frame)
      if (this.acknowledges) this.answer(message.publisher, frames)
      else for (const frame of frames) this.unsaid.push({ publisher: message.publisher, frame })
    }
  }

  private keep(frame: Frame): void {
    const name = nameOf(frame)
    if (this.conflicting.has(name)) return
    if (this.frames.has(name)) this.repeats += 1
    this.frames.set(name, frame)
    const held = this.held.get(frame.laneKey) ?? new IntervalSet()
    held.add(frame.sequence)
    this.held.set(frame.laneKey, held)
  }

  private answer(publisher: PeerId, frames: readonly Frame[]): void {
    const lanes: LaneAck[] = []
    const conflicts: Conflict[] = []
    for (const { laneKey: lane, sequence, ...frame } of frames) {
      const conflict = this.conflicting.has(nameOf({ ...frame, sequence }))
      if (conflict) conflicts.push({ lane, sequence })
      else lanes.push({ lane, runs: this.held.get(lane)!.toRuns() })
    }
    const { storeId, level, grantBytes } = this
    const ack = encodeAck(TEST_MESH.id, { storeId, level, grantBytes, lanes, conflicts })
    this.session.transport.publish(ackTopic(publisher), ack, publisher)
  }
}

export function nameOf({
  source,
  stream,
  epoch,
  sequence,
}: Omit<Frame, 'laneKey' | 'bytes'> | Frame): string {
  return `${source}/${stream}/${epoch}/${sequence}`
}

/** What a test's world has, so that stores can be added to it. */
export interface StoreWorld {
  readonly network: MemoryNetwork
  readonly clock: FakeClock
  readonly random: Random
  readonly stores: ScriptedStore[]
}

/** The first store of a world, which all others find it by. */
export const STORE_SEED = 'memory://store-1'

/** Opens so many more stores, and waits until all know each other. `prepare` is for each open one. */
export async function addScriptedStores(
  { network, clock, random, stores }: StoreWorld,
  count: number,
  prepare?: (store: ScriptedStore) => Promise<void> | void,
): Promise<void> {
  for (let i = 0; i < count; i++) {
    const endpoint = `memory://store-${stores.length + 1}`
    const seeds = [STORE_SEED]
    const transport = network.transport({ meshId: TEST_MESH.id, endpoint })
    const store = new ScriptedStore({ transport, clock, random, seeds, members: new Map() })
    stores.push(store)
    await store.open()
    await prepare?.(store)
  }
  await clock.advance(2_500)
}
