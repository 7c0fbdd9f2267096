// ZeroMQ: links over DEALER and ROUTER sockets (zeromq-sockets.ts). A process with `bind` has one
// ROUTER that everybody can connect to; each endpoint it links to gets a DEALER of its own.
// Publish-subscribe, credit and liveness are those of links/ (why not native PUB/SUB:
// architecture.md §5).
import type * as Zeromq from 'zeromq'
import { MeshError } from '../errors.ts'
import type { Dial, LinkTransportOptions } from '../links/link-transport.ts'
import { LinkTransport } from '../links/link-transport.ts'
import { Dialler, Listener, routerOptions } from './zeromq-sockets.ts'

/** ZeroMQ's default of 1023 sockets is less than the links of one busy publisher. */
const SOCKETS_MAX = 65_535

export interface ZeromqOptions extends LinkTransportOptions {
  /** Where to listen, e.g. `tcp://127.0.0.1:7701`; port 0 or `*` for any free one. Absent: only dials. */
  readonly bind?: string
}

export class ZeromqTransport extends LinkTransport {
  readonly name = 'zeromq'
  private readonly bind: string | undefined
  private zeromq: typeof Zeromq | undefined
  private listener: Listener | undefined
  private dealersMade = 0

  constructor(options: ZeromqOptions) {
    super(options, setImmediate)
    this.bind = options.bind
  }

  get endpoint(): string | undefined {
    return this.listener?.endpoint
  }

  protected async _open(): Promise<void> {
    if (this.bind !== undefined) checkEndpoint(this.bind)
    const zeromq = await import('zeromq')
    this.zeromq = zeromq
    // Takes effect before the first socket of the process only; harmless later.
    zeromq.context.maxSockets = Math.min(SOCKETS_MAX, zeromq.context.maxSocketsLimit)
    if (this.bind === undefined) return
    const router = new zeromq.Router(routerOptions())
    this.listener = new Listener(this.hub, router, this.clock)
    try {
      await router.bind(this.bind)
    } catch (error) {
      throw bindError(this.bind, error)
    }
    this.listener.start()
  }

  protected _dial(endpoint: string): Dial {
    checkEndpoint(endpoint)
    this.dealersMade += 1
    const routingId = `${this.peerId}.${this.dealersMade}`
    const { hub, clock } = this
    const dialler = new Dialler({ zeromq: this.zeromq!, endpoint, routingId, hub, clock })
    try {
      dialler.start()
    } catch (error) {
      dialler.close()
      throw invalidAddress(endpoint, error)
    }
    return dialler
  }

  protected _close(): Promise<void> {
    this.listener?.close()
    return Promise.resolve()
  }
}

function checkEndpoint(endpoint: string): void {
  if (/^ipc:\/\/.+$/.test(endpoint)) return
  const port = /^tcp:\/\/(?:[^\s:/[\]]+|\[[0-9A-Fa-f:.%]+\]):(\*|\d{1,5})$/.exec(endpoint)?.[1]
  if (port === undefined || (port !== '*' && Number(port) > 65_535)) {
    throw invalidAddress(endpoint, undefined)
  }
}

function invalidAddress(endpoint: string, cause: unknown): MeshError {
  return new MeshError(
    'MESH_ADDRESS_INVALID',
    `cannot use zeromq address ${JSON.stringify(endpoint)}: write tcp://host:port, e.g. tcp://127.0.0.1:7701`,
    { cause, details: { endpoint } },
  )
}

function bindError(endpoint: string, error: unknown): MeshError {
  if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') {
    return invalidAddress(endpoint, error)
  }
  return new MeshError(
    'MESH_ADDRESS_IN_USE',
    `cannot listen on ${endpoint}: another process listens there; stop it, or bind another port (port 0 takes a free one)`,
    { retryable: true, cause: error, details: { endpoint } },
  )
}
