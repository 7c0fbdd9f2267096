// The processes this one has links with: which link to send on, and what each subscribes to.
//
// Only the oldest live link to a peer is sent on. When it goes while another stays, what is still on
// its way over the old one and what is sent over the new one may arrive in either order.
import type { PeerId } from '../names.ts'
import { checkPattern, checkTopic, topicMatches } from '../topic.ts'
import type { LinkEvent } from '../transport.ts'
import type { Link } from './link.ts'
import type { Hello } from './wire.ts'

/** Topics whose subscribers are remembered. */
const ROUTES_MAX = 16_384

/** Patterns a peer may announce; more is taken for an error of that peer. */
const PATTERNS_MAX = 10_000

/** One topic as it is published: checked once, encoded once, matched once. */
export interface TopicRoute {
  readonly topic: Buffer
  /** One link per peer that subscribes to it. */
  readonly links: readonly Link[]
}

interface RemotePeer {
  /** Live links, the oldest first; only that one is sent on, so that order holds. */
  readonly links: Link[]
  version: number
  patterns: readonly string[]
}

export class Peers {
  private readonly peers = new Map<PeerId, RemotePeer>()
  private readonly routes = new Map<string, TopicRoute>()
  private readonly listeners: ((event: LinkEvent) => void)[] = []

  ids(): ReadonlySet<PeerId> {
    const ids = new Set<PeerId>()
    for (const [id, peer] of this.peers) if (peer.links.length > 0) ids.add(id)
    return ids
  }

  linkTo(id: PeerId): Link | undefined {
    return this.peers.get(id)?.links[0]
  }

  onLink(listener: (event: LinkEvent) => void): void {
    this.listeners.push(listener)
  }

  /** @throws RangeError for a topic that cannot be published on. */
  route(topic: string): TopicRoute {
    return this.routes.get(topic) ?? this.findRoute(topic)
  }

  seenVersion(id: PeerId): number {
    return this.peers.get(id)?.version ?? 0
  }

  /** Takes over the subscriptions of a hello; false when they are not valid. */
  onHello(id: PeerId, hello: Hello): boolean {
    const known = this.peers.get(id)
    if (known !== undefined && hello.version <= known.version) return true
    if (hello.patterns.length > PATTERNS_MAX || !hello.patterns.every(isPattern)) return false
    const { version, patterns } = hello
    if (known === undefined) this.peers.set(id, { links: [], version, patterns })
    else Object.assign(known, { version, patterns })
    this.routes.clear()
    return true
  }

  up(id: PeerId, link: Link): void {
    const peer = this.peers.get(id)!
    peer.links.push(link)
    this.routes.clear()
    if (peer.links.length === 1) this.tell({ peer: id, up: true })
  }

  down(id: PeerId, link: Link): void {
    const peer = this.peers.get(id)
    const index = peer?.links.indexOf(link) ?? -1
    if (peer === undefined || index < 0) return
    peer.links.splice(index, 1)
    this.routes.clear()
    if (peer.links.length > 0) return
    // A peer that comes back tells its subscriptions again; a restarted one has another id.
    this.peers.delete(id)
    this.tell({ peer: id, up: false })
  }

  private tell(event: LinkEvent): void {
    for (const listener of this.listeners) listener(event)
  }

  private findRoute(topic: string): TopicRoute {
    checkTopic(topic)
    const links: Link[] = []
    for (const peer of this.peers.values()) {
      const link = peer.links[0]
      if (link !== undefined && peer.patterns.some((pattern) => topicMatches(pattern, topic))) {
        links.push(link)
      }
    }
    const route = { topic: Buffer.from(topic, 'utf8'), links }
    if (this.routes.size >= ROUTES_MAX) this.routes.clear()
    this.routes.set(topic, route)
    return route
  }
}

function isPattern(pattern: string): boolean {
  try {
    checkPattern(pattern)
    return true
  } catch {
    return false
  }
}
