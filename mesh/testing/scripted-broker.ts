// A broker for tests of the publisher's side of the contract: hands on what is published to everybody who
// subscribes, and does what the test tells it: go away, lose messages. Real brokers are tested in
// mesh/transports/ and test/contract/.
import type { Clock, Random } from '../clock.ts'
import { MeshError } from '../errors.ts'
import { newPeerId, type PeerId } from '../names.ts'
import { topicMatches } from '../topic.ts'
import type {
  BatchHandler,
  BrokerTransport,
  Consumption,
  Message,
  Subscription,
  TransportCapabilities,
  TransportCounters,
} from '../transport.ts'

interface Handler {
  readonly pattern: string
  readonly onBatch: BatchHandler
}

export class ScriptedBroker {
  readonly clock: Clock
  readonly random: Random
  /** Topics of the telemetry that was published, in order. */
  readonly topics: string[] = []
  /** Says which messages get lost although they were taken. */
  loses: (topic: string) => boolean = () => false
  delayMs: (topic: string) => number = () => 1
  isUp = true
  messageBytesMax = 8 << 20
  readonly handlers = new Set<Handler>()
  private readonly transports: ScriptedBrokerTransport[] = []

  constructor(clock: Clock, random: Random) {
    this.clock = clock
    this.random = random
  }

  transport(): ScriptedBrokerTransport {
    const transport = new ScriptedBrokerTransport(this)
    this.transports.push(transport)
    return transport
  }

  /** The broker goes away, or comes back. */
  setUp(isUp: boolean): void {
    this.isUp = isUp
    for (const transport of this.transports) transport.tell(isUp)
  }

  carry(topic: string, bytes: Buffer): void {
    if (/^[tb]\//.test(topic)) this.topics.push(topic)
    if (this.loses(topic)) return
    this.clock.startTimer(this.delayMs(topic), () => {
      const message: Message = { topic, bytes, from: undefined }
      for (const { pattern, onBatch } of this.handlers) {
        if (topicMatches(pattern, topic)) void onBatch([message])
      }
    })
  }
}

export class ScriptedBrokerTransport implements BrokerTransport {
  readonly name = 'nats'
  readonly peerId: PeerId
  private readonly broker: ScriptedBroker
  private readonly listeners = new Set<(isConnected: boolean) => void>()
  private readonly own = new Set<Handler>()

  constructor(broker: ScriptedBroker) {
    this.broker = broker
    this.peerId = newPeerId(broker.random)
  }

  get capabilities(): TransportCapabilities {
    const { messageBytesMax } = this.broker
    return { brokered: true, ordered: true, replays: true, messageBytesMax }
  }

  get isConnected(): boolean {
    return this.broker.isUp
  }

  tell(isUp: boolean): void {
    for (const listener of this.listeners) listener(isUp)
  }

  onConnection(listener: (isConnected: boolean) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  trouble(): string | undefined {
    return this.broker.isUp ? undefined : 'the broker is away'
  }

  open(): Promise<void> {
    return Promise.resolve()
  }

  publish(topic: string, bytes: Uint8Array): boolean {
    const { messageBytesMax } = this.broker
    if (bytes.length > messageBytesMax) {
      const message = `message of ${bytes.length} bytes exceeds ${messageBytesMax} (topic ${topic})`
      throw new MeshError('MESH_MESSAGE_TOO_LARGE', message)
    }
    if (this.broker.isUp) this.broker.carry(topic, Buffer.from(bytes))
    return this.broker.isUp
  }

  subscribe(pattern: string, onBatch: BatchHandler): Promise<Subscription> {
    const handler = { pattern, onBatch }
    this.broker.handlers.add(handler)
    this.own.add(handler)
    const close = (): Promise<void> => {
      this.broker.handlers.delete(handler)
      return Promise.resolve()
    }
    return Promise.resolve({ close })
  }

  consume(_name: string, _onBatch: BatchHandler): Promise<Consumption> {
    return Promise.reject(new Error('scripted stores subscribe'))
  }

  flush(): Promise<void> {
    return Promise.resolve()
  }

  queuedBytes(): number {
    return 0
  }

  counters(): TransportCounters {
    throw new Error('not counted')
  }

  close(): Promise<void> {
    for (const handler of this.own) this.broker.handlers.delete(handler)
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
