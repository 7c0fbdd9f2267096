// Zenoh: links over the inboxes of a Zenoh network (zenoh-links.ts), reached through a
// zenoh-bridge-remote-api that runs beside this process (zenoh-session.ts). Bridges speak to each other
// directly, so there is no broker, but each message takes two more hops over local sockets than a
// process of Zenoh's own would.
//
// Publish-subscribe, credit and liveness are those of links/. Credit is needed here more than anywhere:
// the bridge queues without a bound for a client that does not read.
import { MeshError } from '../errors.ts'
import type { Dial, LinkTransportOptions } from '../links/link-transport.ts'
import { LinkTransport } from '../links/link-transport.ts'
import { INBOX_NAME } from './zenoh-keys.ts'
import { ZenohLinks } from './zenoh-links.ts'
import { ZenohSession } from './zenoh-session.ts'

export const ZENOH_BRIDGE = 'ws://127.0.0.1:10000'

export interface ZenohOptions extends LinkTransportOptions {
  /** Meshes of different names do not see each other, on one bridge or on many. */
  readonly meshName: string
  /** The WebSocket of the bridge; default ZENOH_BRIDGE. */
  readonly bridge?: string
  /** Whether others can link to this process; else it only dials. */
  readonly listens: boolean
  /** The endpoint to listen on, e.g. `zenoh://store-a`; default `zenoh://` and the peer id. */
  readonly bind?: string
  /** Whether every process of the mesh that listens is linked to, without being asked; default true. */
  readonly finds?: boolean
  /** Called when trouble() changes. */
  readonly onTrouble?: (reason: string | undefined) => void
}

export class ZenohTransport extends LinkTransport {
  readonly name = 'zenoh'
  private readonly options: ZenohOptions
  private links: ZenohLinks | undefined
  private session: ZenohSession | undefined

  constructor(options: ZenohOptions) {
    super(options, setImmediate)
    this.options = options
  }

  get endpoint(): string | undefined {
    if (!this.options.listens) return undefined
    return this.options.bind ?? `zenoh://${this.peerId}`
  }

  override trouble(): string | undefined {
    return this.session?.trouble()
  }

  protected async _open(): Promise<void> {
    const { meshName, listens, onTrouble, finds = true, bridge = ZENOH_BRIDGE } = this.options
    const { hub, clock, endpoint } = this
    const name = endpoint === undefined ? this.peerId : inboxOf(endpoint)
    this.links = new ZenohLinks({ hub, clock, name, listens, finds })
    this.session = new ZenohSession(
      {
        bridge: bridgeUrl(bridge),
        bridgeText: bridge,
        meshName,
        name,
        listens,
        clock,
        random: this.options.random,
        onTrouble,
      },
      this.links,
    )
    this.links.start(this.session)
    await this.session.open()
  }

  protected _dial(endpoint: string): Dial {
    return this.links!.dial(inboxOf(endpoint))
  }

  protected async _close(): Promise<void> {
    await this.session?.close()
  }
}

function inboxOf(endpoint: string): string {
  const name = endpoint.replace(/^zenoh:\/\//, '')
  if (name !== endpoint && INBOX_NAME.test(name)) return name
  throw new MeshError(
    'MESH_ADDRESS_INVALID',
    `cannot use zenoh address ${JSON.stringify(endpoint)}: write zenoh://name, e.g. zenoh://store-a (letters, digits, . _ -)`,
    { details: { endpoint } },
  )
}

function bridgeUrl(bridge: string): URL {
  const url = URL.parse(bridge)
  if (url !== null && /^wss?:$/.test(url.protocol) && url.hostname !== '') return url
  throw new MeshError(
    'MESH_ADDRESS_INVALID',
    `cannot use Zenoh bridge address ${JSON.stringify(bridge)}: write ws://host:port, e.g. ${ZENOH_BRIDGE}`,
    { details: { bridge } },
  )
}
