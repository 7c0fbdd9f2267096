// A peer that sends every telemetry message it sees again, twice and in another order, to every store: a
// network at its worst, on any transport. The envelope still names the publisher, so acks go there.
import { setTimeout as delay } from 'node:timers/promises'
import { eventually } from '../../mesh/conformance/eventually.ts'
import {
  framesTopic,
  isPeerTransport,
  SeededRandom,
  type Message,
  type Session,
} from '../../mesh/index.ts'
import { openSession } from '../../nodes/index.ts'
import { onAnyPort } from '../../nodes/session.ts'
import type { TestMesh } from '../harness/mesh.ts'

const SEED = 20_261_122
const HOLD_MS_MAX = 300

export class Echo implements AsyncDisposable {
  private readonly session: Session
  private readonly random = new SeededRandom(SEED)
  private sent = 0
  private closed = false

  private constructor(session: Session) {
    this.session = session
  }

  static async open(mesh: TestMesh): Promise<Echo> {
    const seeds = mesh.stores.map(({ endpoint }) => endpoint)
    const echo = new Echo(
      await openSession(onAnyPort(mesh.config(seeds)), { roles: ['subscriber'] }),
    )
    await echo.session.transport.subscribe('t/>', (batch) => {
      for (const message of batch) echo.repeat(message)
    })
    return echo
  }

  /** Resolves when it has sent so many messages. */
  async sentAgain(messages: number): Promise<void> {
    await eventually(() => this.sent >= messages, {
      what: `${messages} messages are sent again`,
      deadlineMs: 60_000,
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.closed = true
    await this.session.close()
  }

  private repeat({ topic, bytes }: Message): void {
    // Its own come back to it on a broker: on their topic they would go round for ever.
    const backlog = topic.replace(/^t\/(\d+)\/.*$/, 'b/$1')
    const copy = Buffer.from(bytes)
    for (let times = 0; times < 2; times++) void this.sendLater(backlog, copy)
  }

  private async sendLater(topic: string, bytes: Buffer): Promise<void> {
    await delay(this.random.next() * HOLD_MS_MAX)
    if (this.closed) return
    const { transport, membership } = this.session
    if (isPeerTransport(transport)) {
      for (const { peer, storeId } of membership.stores()) {
        if (peer !== undefined) transport.publish(framesTopic(storeId), bytes, peer)
      }
    } else transport.publish(topic, bytes)
    this.sent += 1
  }
}
