// Reads a stream of JetStream in order: an ephemeral push consumer, paced by the server's flow control,
// and another one after each lost connection, which begins where the last one ended.
import { jetstreamManager } from '@nats-io/jetstream'
import { createInbox, type Msg, type NatsConnection } from '@nats-io/transport-node'
import { messageDecoder } from '../messages.ts'
import { NatsLine } from './nats-line.ts'
import { CONSUMER_SETTINGS } from './nats-settings.ts'
import type { Consumer, ConsumerOptions } from './system.ts'

/** Of the reply subject: `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.…`. */
const STREAM_SEQUENCE_AT = 5

export class NatsConsumer implements Consumer {
  private readonly options: ConsumerOptions
  private readonly decode: ReturnType<typeof messageDecoder>
  /** Where the next consumer begins, unless there is a newest message. */
  private beginning: number | undefined
  private newest: Msg | undefined
  private line: NatsLine | undefined

  /** Resolves when the server knows what to send. */
  static async open(options: ConsumerOptions): Promise<NatsConsumer> {
    const consumer = new NatsConsumer(options)
    const { channel, process } = options
    consumer.line = await NatsLine.open(
      channel.address,
      `bench-consumer-${process}`,
      (connection) => consumer.use(connection),
    )
    return consumer
  }

  private constructor(options: ConsumerOptions) {
    this.options = options
    this.decode = messageDecoder(options.form)
    if (options.fromStart === true) this.beginning = 1
  }

  async close(): Promise<void> {
    await this.line!.close()
  }

  private async use(connection: NatsConnection): Promise<void> {
    const { name } = this.options.channel
    const manager = await jetstreamManager(connection, { checkAPI: false })
    if (this.newest !== undefined) {
      this.beginning = sequenceOf(this.newest) + 1
      this.newest = undefined
    }
    this.beginning ??= (await manager.streams.info(name)).state.last_seq + 1
    const inbox = createInbox()
    const received = { count: 0 }
    connection.subscribe(inbox, {
      callback: (_error, message) => this.receive(connection, received, message),
    })
    await manager.consumers.add(name, {
      ...CONSUMER_SETTINGS,
      deliver_subject: inbox,
      deliver_policy: 'by_start_sequence',
      opt_start_seq: this.beginning,
    })
  }

  private receive(connection: NatsConnection, received: { count: number }, message: Msg): void {
    const { data } = message
    if (data.length === 0) {
      // The server asks how far we are: all before it has been handled.
      if (message.respond()) return
      const sent = Number(message.headers?.get('Nats-Last-Consumer'))
      if (sent !== received.count) void connection.close()
      return
    }
    received.count += 1
    this.newest = message
    this.options.onSamples(this.decode(Buffer.from(data.buffer, data.byteOffset, data.byteLength)))
  }
}

function sequenceOf({ reply }: Msg): number {
  return Number(reply!.split('.')[STREAM_SEQUENCE_AT])
}
