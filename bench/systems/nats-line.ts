// A connection to NATS that is made again when it ends, for ever. nats.js could do that by itself, but
// would not say what became of that which was on its way.
import { setTimeout as delay } from 'node:timers/promises'
import { connect, type NatsConnection } from '@nats-io/transport-node'

const CONNECT_MS = 2_000
const RETRY_MS = 20

/** Puts a new connection to use. Rejects when that fails: then it is closed, and there is another one. */
type Use = (connection: NatsConnection) => Promise<void>

export class NatsLine {
  private readonly address: string
  private readonly name: string
  private readonly use: Use
  private readonly running: Promise<void>
  private connection: NatsConnection | undefined
  private isClosed = false

  /** Resolves when the first connection is in use. @throws Error when it cannot be made. */
  static async open(address: string, name: string, use: Use): Promise<NatsLine> {
    const first = Promise.withResolvers<void>()
    const line = new NatsLine(address, name, use, first)
    await first.promise
    return line
  }

  private constructor(address: string, name: string, use: Use, first: PromiseWithResolvers<void>) {
    this.address = address
    this.name = name
    this.use = use
    this.running = this.run(first)
  }

  /** Sends what it was given, and ends. */
  async close(): Promise<void> {
    this.isClosed = true
    const { connection } = this
    if (connection !== undefined && !connection.isClosed()) {
      await Promise.race([connection.flush(), connection.closed()]).catch(() => undefined)
      await connection.close()
    }
    await this.running
  }

  private async run(first: PromiseWithResolvers<void>): Promise<void> {
    let isFirst = true
    while (!this.isClosed) {
      try {
        await this.connectOnce(first)
      } catch (error) {
        first.reject(error)
        if (isFirst) return
        await delay(RETRY_MS)
      }
      isFirst = false
    }
  }

  /** From its beginning to its end. */
  private async connectOnce(first: PromiseWithResolvers<void>): Promise<void> {
    const { address: servers, name } = this
    const options = { servers, name, reconnect: false, timeout: CONNECT_MS, noAsyncTraces: true }
    const connection = await connect(options)
    if (this.isClosed) {
      await connection.close()
      return
    }
    this.connection = connection
    try {
      await this.use(connection)
    } catch (error) {
      await connection.close()
      throw error
    }
    first.resolve()
    await connection.closed()
  }
}
