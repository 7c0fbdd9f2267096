// Takes messages of a JetStream consumer: one pull request at a time, bounded in messages and bytes,
// asked for only while there is room. The client's own consume() pushes at the pace of the server,
// and stops for good after some errors.
import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node'
import type { Clock, Timer } from '../clock.ts'

const NS_PER_MS = 1_000_000
const EXPIRES_MS = 30_000
const HEARTBEAT_MS = 3000
/** Two heartbeats missed, and a little. */
const SILENCE_MS = 8000
const PULL_MESSAGES = 5000

export interface PullOptions {
  readonly nc: NatsConnection
  readonly stream: string
  readonly consumer: string
  readonly clock: Clock
  /** At least the largest message with its subject: the server ends a request that one message exceeds. */
  readonly bytesMax: number
  readonly onMessage: (message: Msg) => void
  /** It will bring nothing more: the consumer is gone, or the server silent. Called once. */
  readonly onBroken: (reason: string) => void
  /** Whether there is room for another pull. */
  readonly wants: () => boolean
}

export class NatsPull {
  private readonly options: PullOptions
  private readonly inbox: string
  private readonly subscription: Subscription
  /** Messages that the open request can still bring; 0 when none is open. */
  private openMessages = 0
  private heardMs = 0
  private timer: Timer | undefined
  private isStopped = false

  constructor(options: PullOptions, inbox: string) {
    this.options = options
    this.inbox = inbox
    this.subscription = options.nc.subscribe(inbox, {
      callback: (error, message) => this.receive(error, message),
    })
    this.watch()
    this.pull()
  }

  /** Asks for more, when no request is open and there is room. */
  pull(): void {
    const { nc, stream, consumer, bytesMax, clock, wants } = this.options
    if (this.isStopped || this.openMessages > 0 || !wants()) return
    this.openMessages = PULL_MESSAGES
    this.heardMs = clock.monotonicMs()
    const request = {
      batch: PULL_MESSAGES,
      max_bytes: bytesMax,
      expires: EXPIRES_MS * NS_PER_MS,
      idle_heartbeat: HEARTBEAT_MS * NS_PER_MS,
    }
    try {
      nc.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, JSON.stringify(request), {
        reply: this.inbox,
      })
    } catch (error) {
      this.broken((error as Error).message)
    }
  }

  stop(): void {
    if (this.isStopped) return
    this.isStopped = true
    this.timer?.cancel()
    this.subscription.unsubscribe()
  }

  private receive(error: Error | null, message: Msg): void {
    if (this.isStopped) return
    if (error !== null) {
      this.broken(error.message)
      return
    }
    this.heardMs = this.options.clock.monotonicMs()
    if (message.subject === this.inbox) {
      this.receiveStatus(message)
      return
    }
    this.openMessages -= 1
    this.options.onMessage(message)
    if (this.openMessages === 0) this.pull()
  }

  private receiveStatus({ headers }: Msg): void {
    const code = headers?.code ?? 0
    if (code === 100) return
    this.openMessages = 0
    const description = headers?.description ?? ''
    // 404 and 408: nothing came in time. 409 has the rest of it in words.
    const isDone =
      code === 404 ||
      code === 408 ||
      (code === 409 && /batch completed|maxbytes/i.test(description))
    if (isDone) this.pull()
    else this.broken(description === '' ? `status ${code}` : description)
  }

  private watch(): void {
    const { clock } = this.options
    this.timer = clock.startTimer(HEARTBEAT_MS, () => {
      const isSilent = this.openMessages > 0 && clock.monotonicMs() - this.heardMs > SILENCE_MS
      if (isSilent) this.broken('no heartbeats')
      else this.watch()
    })
  }

  private broken(reason: string): void {
    if (this.isStopped) return
    this.stop()
    this.options.onBroken(reason)
  }
}

/** What the reply subject of a consumer's message tells. */
export interface Delivery {
  readonly streamSequence: number
  /** Messages that match the consumer's filter and come after this one. */
  readonly pending: number
}

/** `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>`, or with domain and account before. */
export function deliveryOf(reply: string | undefined): Delivery | undefined {
  const tokens = reply?.split('.') ?? []
  const first = tokens.length === 9 ? 2 : 4
  if (tokens.length < 9 || tokens[0] !== '$JS') return undefined
  const [streamSequence, pending] = [Number(tokens[first + 3]), Number(tokens[first + 6])]
  if (!Number.isSafeInteger(streamSequence) || !Number.isSafeInteger(pending)) return undefined
  return { streamSequence, pending }
}
