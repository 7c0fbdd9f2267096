// One connection to a NATS server, from the moment it stands until it ends; the next one is another
// session. nats.js could reconnect by itself, but it would keep what was published meanwhile without
// bound and without saying what arrived; here a connection that ends has lost what is not confirmed.
//
// What the stream keeps is published with a reply subject of our own, one sequence each, so that the
// answers cost no promise and no timer; everything else is fenced by a PING now and then.
import type { JetStreamManager } from '@nats-io/jetstream'
import type { Msg, NatsConnection } from '@nats-io/transport-node'
import type { Backoff } from '../broker/backoff.ts'
import type { ConnectionState } from '../broker/connection-state.ts'
import type { Clock, Timer } from '../clock.ts'
import type { TransportCounters } from '../transport.ts'
import type { StreamAccess } from './nats-feed.ts'
import type { Outgoing } from './nats-lane.ts'
import { NatsLane } from './nats-lane.ts'
import type { StreamSettings } from './nats-stream.ts'
import { apiCode, prepareStream } from './nats-stream.ts'
import type { NatsSubjects } from './nats-subjects.ts'

/** On its way and not confirmed: what a round trip of 20 ms and 100,000 messages a second need. */
const WINDOW_MESSAGES = 2048
const WINDOW_BYTES = 4 * 1024 * 1024
/** Nothing at all confirmed for so long: the server is stuck, or gone without a word. */
const STALL_MS = 5000
const CHECK_MS = 1000
/** How long the last words may take. */
const FAREWELL_MS = 200
/** A trouble after so long is a new one, and gets quick attempts again. */
const STEADY_MS = 10_000
/** Of what the server allows, kept free for headers. */
export const HEADER_ROOM_BYTES = 1024
/** The second letter of `{"stream":…}`; an answer that is an error begins with `{"error":…}`. */
const CONFIRMED_AT = 2
const CONFIRMED = 's'.charCodeAt(0)
const NO_RESPONDERS = 503

export interface SessionOptions {
  readonly nc: NatsConnection
  readonly manager: JetStreamManager
  readonly server: string
  readonly subjects: NatsSubjects
  readonly settings: StreamSettings
  readonly clock: Clock
  readonly backoff: Backoff
  readonly queueBytes: number
  readonly counters: TransportCounters
  readonly connection: ConnectionState
  readonly onReady: (access: StreamAccess) => void
  /** The stream was looked at for the first time, or could not be. */
  readonly onOutcome: () => void
}

export class NatsSession {
  readonly nc: NatsConnection
  private readonly options: SessionOptions
  private readonly inbox: string
  private readonly kept: NatsLane
  private readonly passing: NatsLane
  private readonly ended = Promise.withResolvers<void>()
  private failed = Promise.withResolvers<void>()
  private inboxes = 0
  private isFencing = false
  private timer: Timer | undefined
  private endReason: string | undefined
  private access: StreamAccess | undefined

  constructor(options: SessionOptions, inbox: string) {
    this.options = options
    this.nc = options.nc
    this.inbox = inbox
    const { queueBytes, counters, clock } = options
    const limits = {
      windowMessages: WINDOW_MESSAGES,
      windowBytes: WINDOW_BYTES,
      bytesMax: queueBytes,
      counters,
      clock,
    }
    this.kept = new NatsLane({ ...limits, send: (message, seq) => this.sendKept(message, seq) })
    this.passing = new NatsLane({ ...limits, send: (message) => this.sendPassing(message) })
  }

  /** Undefined while the stream cannot be used. */
  get ready(): StreamAccess | undefined {
    return this.access
  }

  get messageBytesMax(): number {
    return this.nc.info!.max_payload - HEADER_ROOM_BYTES
  }

  /** Resolves when the connection has ended; connection.trouble then says why. */
  async run(): Promise<void> {
    const { nc } = this
    void nc.closed().then((error) => this.end(closedBecause(error)))
    void this.watchStatus()
    nc.subscribe(`${this.inbox}.ack.*`, {
      callback: (error, answer) => this.confirm(error, answer),
    })
    this.check()
    while (this.endReason === undefined) await this.useStream()
    this.timer?.cancel()
    await nc.close()
  }

  /** True when there is room for more. */
  publish(message: Outgoing, isKept: boolean): boolean {
    return (isKept ? this.kept : this.passing).push(message)
  }

  queuedBytes(): number {
    return this.kept.queuedBytes + this.passing.queuedBytes
  }

  async flush(): Promise<void> {
    await Promise.all([this.kept.flush(), this.passing.flush()])
  }

  /** Resolves when the server has read everything sent so far, or never will. */
  async roundTrip(): Promise<void> {
    await Promise.race([this.nc.flush().catch(() => {}), this.ended.promise])
  }

  newInbox(): string {
    this.inboxes += 1
    return `${this.inbox}.${this.inboxes}`
  }

  /** Ends it without any trouble: the transport closes. */
  async stop(): Promise<void> {
    // The last acknowledgements are on their way.
    const late = Promise.withResolvers<void>()
    const timer = this.options.clock.startTimer(FAREWELL_MS, late.resolve)
    await Promise.race([this.roundTrip(), late.promise])
    timer.cancel()
    this.settleEnd('closed')
    await this.nc.close()
  }

  private async useStream(): Promise<void> {
    const { connection, backoff, clock, onReady, onOutcome } = this.options
    try {
      const access = await this.prepare()
      if (this.endReason !== undefined) return
      this.failed = Promise.withResolvers()
      this.access = access
      connection.up()
      onOutcome()
      onReady(access)
      const upMs = clock.monotonicMs()
      await Promise.race([this.failed.promise, this.ended.promise])
      if (clock.monotonicMs() - upMs > STEADY_MS) backoff.reset()
    } catch (error) {
      if (this.endReason !== undefined) return
      if ((error as Error).name === 'TimeoutError') this.end('does not answer JetStream requests')
      else connection.down(this.explain(error))
      onOutcome()
    }
    if (this.endReason === undefined) await Promise.race([backoff.wait(), this.ended.promise])
  }

  private async prepare(): Promise<StreamAccess> {
    const { manager, subjects, settings, clock } = this.options
    const { nc, messageBytesMax } = this
    const info = await prepareStream(manager, subjects, settings, messageBytesMax)
    // The server says when it answered; the client's types do not know.
    const serverMs = Date.parse((info as { ts?: string }).ts ?? '')
    const clockAheadMs = Number.isNaN(serverMs) ? 0 : serverMs - clock.nowUs() / 1000
    return {
      nc,
      manager,
      messageBytesMax,
      clockAheadMs,
      newInbox: () => this.newInbox(),
      fail: (reason) => this.fail(reason),
    }
  }

  private sendKept({ subject, bytes }: Outgoing, sequence: number): void {
    this.send(subject, bytes, `${this.inbox}.ack.${sequence}`)
  }

  private sendPassing({ subject, bytes }: Outgoing): void {
    this.send(subject, bytes)
    if (this.isFencing) return
    this.isFencing = true
    queueMicrotask(() => void this.fence())
  }

  private send(subject: string, bytes: Uint8Array, reply?: string): void {
    try {
      this.nc.publish(subject, bytes, reply === undefined ? {} : { reply })
    } catch (error) {
      this.end((error as Error).message)
    }
  }

  /** What passed before a PING has reached the server when its PONG comes. */
  private async fence(): Promise<void> {
    while (this.passing.queuedBytes > 0) {
      const mark = this.passing.lastSent
      await this.roundTrip()
      this.passing.confirmUpTo(mark)
    }
    this.isFencing = false
  }

  private confirm(error: Error | null, answer: Msg): void {
    if (error !== null) {
      this.end(error.message)
      return
    }
    const { subject, data } = answer
    if (data[CONFIRMED_AT] === CONFIRMED) {
      this.kept.confirm(Number(subject.slice(this.inbox.length + 5)))
    } else this.fail(refusal(answer, this.options.subjects.stream))
  }

  /** The stream does not take what is published: nothing is, until it has been looked at. */
  private fail(reason: string): void {
    if (this.access === undefined || this.endReason !== undefined) return
    this.access = undefined
    this.kept.lose()
    this.options.connection.down(`${this.options.server}: ${reason}; trying again`)
    this.failed.resolve()
  }

  private end(reason: string): void {
    if (this.endReason !== undefined) return
    this.settleEnd(reason)
    this.options.connection.down(`${this.options.server} ${reason}; trying again`)
  }

  private settleEnd(reason: string): void {
    this.endReason ??= reason
    this.access = undefined
    this.kept.lose()
    this.passing.lose()
    this.ended.resolve()
  }

  private check(): void {
    this.timer = this.options.clock.startTimer(CHECK_MS, () => {
      if (this.endReason !== undefined) return
      const stalledMs = Math.max(this.kept.stalledMs(), this.passing.stalledMs())
      if (stalledMs > STALL_MS) this.end(`has confirmed nothing for ${STALL_MS / 1000} s`)
      else this.check()
    })
  }

  private async watchStatus(): Promise<void> {
    for await (const status of this.nc.status()) {
      // A stale connection may never be closed by the client: it first waits for its last write.
      if (status.type === 'staleConnection') this.end('does not answer (no PONG)')
      else if (status.type === 'error') this.end(`says: ${status.error.message}`)
    }
  }

  private explain(error: unknown): string {
    const { server } = this.options
    const { name, message } = error as Error
    if (name === 'JetStreamNotEnabled' || apiCode(error) === 10039) {
      return `${server} has JetStream switched off: start it with --jetstream, or set jetstream in its configuration; trying again`
    }
    return `${server}: ${message}; trying again`
  }
}

function closedBecause(error: Error | void): string {
  return error instanceof Error
    ? `closed the connection (${error.message})`
    : 'closed the connection'
}

/** Why a message was not kept, by what came instead of a confirmation. */
function refusal({ headers, data }: Msg, stream: string): string {
  if (headers?.code === NO_RESPONDERS) return `stream ${stream} is gone`
  const answer = Buffer.from(data).toString('utf8')
  const said = /"description":"([^"]*)"/.exec(answer)?.[1] ?? answer.slice(0, 200)
  return `stream ${stream} does not take messages (${said})`
}
