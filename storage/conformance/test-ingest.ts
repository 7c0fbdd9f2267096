// A store's intake for tests: the real Ingest and Writer between a transport and a disk that do what the
// test says. Messages are handed in as a broker or a link would, acks are caught as they go out.
import { FakeClock } from '../../mesh/fake-clock.ts'
import type {
  AckLevel,
  PeerId,
  SchemaExchange,
  SchemaId,
  StoreId,
  Transport,
} from '../../mesh/index.ts'
import { readAck, type Ack } from '../../mesh/ack.ts'
import { encodeMessage } from '../../mesh/message.ts'
import { SeededRandom } from '../../mesh/seeded-random.ts'
import { ScriptedBroker } from '../../mesh/testing/scripted-broker.ts'
import { TEST_MESH } from '../../mesh/testing/scripted-store.ts'
import type { BatchHandler } from '../../mesh/transport.ts'
import type { MemoryStore } from './memory-store.ts'
import type { StoredFrame } from '../frame-store.ts'
import { Ingest } from '../ingest.ts'
import { Writer } from '../writer.ts'

export const PUBLISHER = 'a0a0a0a0a0a0a0a0' as PeerId
const STORE = 'b0b0b0b0b0b0b0b0' as StoreId

export interface IngestWorldOptions<Store> {
  readonly store: Store
  readonly kind?: 'broker' | 'links'
  readonly budgetBytes?: number
  readonly schemas?: Set<SchemaId>
  readonly isMember?: () => boolean
  /** Sees each ack as it goes out. */
  readonly onAck?: (publisher: PeerId, ack: Ack) => void
}

export class IngestWorld<Store extends MemoryStore = MemoryStore> {
  readonly clock = new FakeClock()
  readonly broker = new ScriptedBroker(this.clock, new SeededRandom(1))
  readonly store: Store
  readonly asked: SchemaId[] = []
  readonly acks: Buffer[] = []
  readonly ingest: Ingest
  readonly writer: Writer<PeerId>
  private take!: BatchHandler

  constructor(options: IngestWorldOptions<Store>) {
    const { budgetBytes = 64 << 20, schemas = new Set(), isMember = () => true } = options
    const { clock } = this
    this.store = options.store
    this.broker.carry = (topic, bytes) => {
      if (!topic.startsWith('a/')) return
      this.acks.push(bytes)
      options.onAck?.(topic.slice(2) as PeerId, readAck(bytes, TEST_MESH.id)!)
    }
    const exchange = { ask: (id: SchemaId) => this.asked.push(id) }
    this.writer = new Writer<PeerId>({
      store: this.store,
      clock,
      budgetBytes,
      commitIntervalMs: 0,
      onCommitted: (results) => this.ingest.committed(results),
    })
    this.ingest = new Ingest({
      mesh: TEST_MESH,
      transport: options.kind === 'links' ? this.linkTransport() : this.brokerTransport(),
      clock,
      storeId: STORE,
      writer: this.writer,
      exchange: exchange as unknown as SchemaExchange,
      hasSchema: (id) => schemas.has(id),
      isMember,
      budgetBytes,
    })
  }

  /** Hands a message in. Resolves when the transport would count it as taken, rejects when not. */
  async give(
    frames: readonly Buffer[],
    level: AckLevel = 'synced',
    publisher = PUBLISHER,
  ): Promise<void> {
    const bytes = encodeMessage(TEST_MESH.id, publisher, frames, level)
    await this.take([{ topic: 't/1/s', bytes, from: undefined }])
  }

  /** As give(), with the clock going on for so long at most; how it ended. */
  async given(
    frames: readonly Buffer[],
    advanceMs: number,
  ): Promise<'taken' | 'again' | 'pending'> {
    const state: { outcome: 'taken' | 'again' | 'pending' } = { outcome: 'pending' }
    void this.give(frames).then(
      () => (state.outcome = 'taken'),
      () => (state.outcome = 'again'),
    )
    for (let ms = 0; ms <= advanceMs && state.outcome === 'pending'; ms += 20) {
      await this.clock.advance(20)
    }
    return state.outcome
  }

  acknowledged(): number {
    return this.acks.reduce((sum, bytes) => {
      const { lanes } = readAck(bytes, TEST_MESH.id)!
      return sum + lanes.reduce((count, { runs }) => count + runs.length / 2, 0)
    }, 0)
  }

  private brokerTransport(): Transport {
    const transport = this.broker.transport()
    transport.consume = (_name, onBatch) => {
      this.take = onBatch
      const none = { assign: () => undefined, lag: () => 0, close: () => Promise.resolve() }
      return Promise.resolve(none)
    }
    return transport
  }

  /** As much of a peer transport as the intake uses. */
  private linkTransport(): Transport {
    const transport = {
      capabilities: { brokered: false, messageBytesMax: this.broker.messageBytesMax },
      publish: (topic: string, bytes: Buffer) => this.broker.carry(topic, bytes),
      subscribe: (pattern: string, onBatch: BatchHandler) => {
        if (pattern.startsWith('f/')) this.take = onBatch
        return Promise.resolve({ close: () => Promise.resolve() })
      },
    }
    return transport as unknown as Transport
  }
}

export const bytesOf = (frames: readonly StoredFrame[]): Buffer[] =>
  frames.map(({ frame }) => frame.bytes)
