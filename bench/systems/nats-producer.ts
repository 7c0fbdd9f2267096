// Publishes to a stream of JetStream. The answers come to an inbox of our own, so that thousands of
// messages are on their way without a promise each.
//
//   publish ──► waiting ──► parcels without their answer ──► receipt
//                  ▲                 ┃ refused; not there after a lost connection
//                  ┗━━━━━━━━━━━━━━━━━┛
//
// After a lost connection the stream itself is asked how many of our messages it has: what was on its way
// arrived in order, so it has the first ones, and the others are sent again. Nothing is there twice, and
// no message needs an id for that, which costs a quarter of the throughput (Nats-Msg-Id, 300 B) and the
// server's memory. While a connection stands, an answer may be late but comes: nothing is sent again.
import { jetstreamManager } from '@nats-io/jetstream'
import { createInbox, headers, type Msg, type NatsConnection } from '@nats-io/transport-node'
import type { Sample } from '../../mesh/index.ts'
import { Deque } from '../../mesh/publisher/deque.ts'
import { messageEncoder, messageSamples } from '../messages.ts'
import { NatsLine } from './nats-line.ts'
import { publishingOf, type Publishing } from './nats-settings.ts'
import type { Producer, ProducerOptions } from './system.ts'

/** A server that refuses has too much to do; it is not asked again at once. */
const REFUSED_MS = 100
/** The third letter of `{"stream":…}`, of `{"type":…}`, which is only news of a batch; others are errors. */
const KIND_AT = 2
const KEPT = 's'.charCodeAt(0)
const NEWS = 't'.charCodeAt(0)
/** Of a fast batch: news as seldom as the server likes. */
const NEWS_EVERY = 65_535
const FAST_OPERATIONS = { first: 0, next: 1, last: 2 } as const

interface Message {
  readonly bytes: Buffer
  readonly samples: readonly Sample[]
}

/** Messages with one answer. */
interface Parcel {
  readonly messages: readonly Message[]
  isAnswered: boolean
}

/** One connection, and where answers come to. */
interface Session {
  readonly connection: NatsConnection
  readonly inbox: string
}

export class NatsProducer implements Producer {
  readonly hasReceipts = true
  private readonly options: ProducerOptions
  private readonly subject: string
  private readonly rules: Publishing
  private readonly encode: ReturnType<typeof messageEncoder>
  private waiting = new Deque<Message>()
  private readonly parcels = new Deque<Parcel>()
  /** Of parcels, since the beginning. */
  private sent = 0
  private unanswered = 0
  /** Messages that the stream has. */
  private kept = 0
  private session: Session | undefined
  private line: NatsLine | undefined
  private isPumping = false
  private bytes = 0
  private messages = 0

  /** Resolves when it is connected. */
  static async open(options: ProducerOptions): Promise<NatsProducer> {
    const producer = new NatsProducer(options)
    const { channel, process } = options
    producer.line = await NatsLine.open(
      channel.address,
      `bench-producer-${process}`,
      (connection) => producer.use(connection),
    )
    return producer
  }

  private constructor(options: ProducerOptions) {
    const { channel, form, sources, process } = options
    this.options = options
    this.subject = `${channel.name}.${process}`
    this.rules = publishingOf(channel.setting)
    this.encode = options.encode ?? messageEncoder(form, channel.name, sources)
  }

  publish(source: number, samples: readonly Sample[]): void {
    for (const part of messageSamples(this.options.form, samples)) {
      this.waiting.push({ bytes: this.encode(source, part), samples: part })
    }
    if (this.waiting.length >= this.rules.batchMessages) this.pump()
    else this.pumpSoon()
  }

  sentBytes(): number {
    return this.bytes
  }

  sentMessages(): number {
    return this.messages
  }

  /** What has no answer by then never gets one. */
  async close(): Promise<void> {
    this.session = undefined
    await this.line!.close()
  }

  private async use(connection: NatsConnection): Promise<void> {
    this.session = undefined
    const inbox = createInbox()
    connection.subscribe(`${inbox}.>`, {
      callback: (_error, answer) => this.answered(inbox, answer),
    })
    if (this.sent > 0) await this.resume(connection)
    this.session = { connection, inbox }
    this.pump()
  }

  /** Settles what was on its way when the connection before this one was lost. */
  private async resume(connection: NatsConnection): Promise<void> {
    const manager = await jetstreamManager(connection, { checkAPI: false })
    const { state } = await manager.streams.info(this.options.channel.name, {
      subjects_filter: this.subject,
    })
    let found = (state.subjects?.[this.subject] ?? 0) - this.kept
    const open = [...this.parcels].filter(({ isAnswered }) => !isAnswered)
    const missing: Message[] = []
    for (const parcel of open) {
      missing.push(...this.settle(parcel, found))
      found -= Math.min(found, parcel.messages.length)
    }
    this.sendAgain(missing)
  }

  /** After the turn, so that what is published together goes together. */
  private pumpSoon(): void {
    if (this.isPumping) return
    this.isPumping = true
    queueMicrotask(() => {
      this.isPumping = false
      this.pump()
    })
  }

  private pump(): void {
    const { session, waiting, rules } = this
    if (session === undefined || session.connection.isClosed()) return
    while (waiting.length > 0 && this.unanswered < rules.unanswered) this.send(session, this.take())
  }

  private take(): readonly Message[] {
    const { waiting, rules } = this
    const { batchMessages, batchLeast = 1 } = rules
    const count = waiting.length < batchLeast ? 1 : Math.min(waiting.length, batchMessages)
    const messages: Message[] = []
    while (messages.length < count) messages.push(waiting.shift()!)
    return messages
  }

  private send({ connection, inbox }: Session, messages: readonly Message[]): void {
    this.sent += 1
    this.unanswered += 1
    this.parcels.push({ messages, isAnswered: false })
    this.messages += messages.length
    for (const { bytes } of messages) this.bytes += bytes.length
    const reply = `${inbox}.${this.sent}`
    if (messages.length === 1) connection.publish(this.subject, messages[0]!.bytes, { reply })
    else if (this.rules.batches === 'atomic') this.sendAtomic(connection, messages, reply)
    else this.sendFast(connection, messages, reply)
  }

  /** Each message says which batch it is of; the last one commits it, and is answered. */
  private sendAtomic(
    connection: NatsConnection,
    messages: readonly Message[],
    reply: string,
  ): void {
    const batch = `${this.options.process}-${this.sent}`
    for (const [index, { bytes }] of messages.entries()) {
      const isLast = index === messages.length - 1
      const header = headers()
      header.set('Nats-Batch-Id', batch)
      header.set('Nats-Batch-Sequence', String(index + 1))
      if (isLast) header.set('Nats-Batch-Commit', '1')
      const options = isLast ? { headers: header, reply } : { headers: header }
      connection.publish(this.subject, bytes, options)
    }
  }

  /** The reply subject says it all. With a gap the batch ends, and the answer says where. */
  private sendFast(connection: NatsConnection, messages: readonly Message[], reply: string): void {
    const prefix = `${reply}.${this.options.process}-${this.sent}.${NEWS_EVERY}.fail`
    for (const [index, { bytes }] of messages.entries()) {
      const place = index === 0 ? 'first' : index === messages.length - 1 ? 'last' : 'next'
      connection.publish(this.subject, bytes, {
        reply: `${prefix}.${index + 1}.${FAST_OPERATIONS[place]}.$FI`,
      })
    }
  }

  private answered(inbox: string, answer: Msg): void {
    const { data, subject } = answer
    const kind = data[KIND_AT]
    if (kind === NEWS) return
    const parcelAt = Number.parseInt(subject.slice(inbox.length + 1), 10)
    const parcel = this.parcels.at(parcelAt - 1 - (this.sent - this.parcels.length))
    if (parcel === undefined || parcel.isAnswered) return
    const refused = this.settle(parcel, kind === KEPT ? keptOf(parcel, answer) : 0)
    if (refused.length > 0) setTimeout(() => this.sendAgain(refused), REFUSED_MS)
    this.pump()
  }

  /** The first `count` of its messages are kept, or all. Returns the others. */
  private settle(parcel: Parcel, count: number): readonly Message[] {
    const { messages } = parcel
    parcel.isAnswered = true
    this.unanswered -= 1
    this.parcels.shiftWhile(({ isAnswered }) => isAnswered)
    const keptCount = Math.min(count, messages.length)
    this.kept += keptCount
    for (let i = 0; i < keptCount; i++) this.options.onReceipt(messages[i]!.samples)
    return keptCount === messages.length ? NONE : messages.slice(keptCount)
  }

  private sendAgain(messages: readonly Message[]): void {
    if (messages.length === 0) return
    const later = this.waiting
    this.waiting = new Deque()
    for (const message of messages) this.waiting.push(message)
    for (const message of later) this.waiting.push(message)
    this.pump()
  }
}

const NONE: readonly Message[] = []

/** Of the parcel's messages. */
function keptOf({ messages }: Parcel, answer: Msg): number {
  return messages.length === 1 ? 1 : answer.json<{ count: number }>().count
}
