// The links of a process over Zenoh. Each process has an inbox; a channel between two of them is the
// puts of each to the inbox of the other, and known by their two names and by which of them dialled.
// So two processes that dial each other have two channels, and one that dials the same name again has
// the channel it had.
//
// Who is there is told by liveliness tokens (zenoh-session.ts): a process that went away is known to be
// gone within milliseconds, and one that listens is dialled without having been named in any config.
// Of two that listen, the one with the greater name dials.
import type { Clock } from '../clock.ts'
import type { LinkHub } from '../links/hub.ts'
import type { Channel, Link } from '../links/link.ts'
import type { Dial } from '../links/link-transport.ts'
import type { Side } from './zenoh-keys.ts'
import type { SessionHost, ZenohSession } from './zenoh-session.ts'

/** Processes that are dialled because they were found; those beyond have to be asked for. */
const FOUND_MAX = 10_000

export interface ZenohLinksOptions {
  readonly hub: LinkHub
  readonly clock: Clock
  /** Of our inbox. */
  readonly name: string
  readonly listens: boolean
  /** Whether processes that appear are dialled. */
  readonly finds: boolean
}

export class ZenohLinks implements SessionHost {
  private readonly options: ZenohLinksOptions
  private readonly diallers = new Map<string, Dialler>()
  private readonly accepted = new Map<string, Link>()
  private session: ZenohSession | undefined
  private found = 0

  constructor(options: ZenohLinksOptions) {
    this.options = options
  }

  start(session: ZenohSession): void {
    this.session = session
  }

  /** Keeps a channel to that inbox until the dial is closed. */
  dial(name: string): Dial {
    const dialler = this.dialler(name)
    dialler.isAsked = true
    return {
      close: () => {
        dialler.isAsked = false
        if (!dialler.isFound) this.drop(dialler)
      },
    }
  }

  onUp(): void {
    for (const dialler of this.diallers.values()) dialler.link.connected()
  }

  onDown(): void {
    for (const link of this.accepted.values()) link.disconnected()
    for (const dialler of this.diallers.values()) this.lose(dialler)
  }

  onPeer(name: string, listens: boolean, isAlive: boolean): void {
    if (!isAlive) this.accepted.get(name)?.disconnected()
    const dialler = this.diallers.get(name)
    if (!listens) return
    if (!isAlive) {
      if (dialler === undefined) return
      this.lose(dialler)
      // It may be back before its sign of life is.
      if (dialler.isAsked) dialler.link.connected()
    } else if (dialler !== undefined) {
      // Repeats the hello it sends each second: nobody has to wait for that.
      if (!dialler.link.isUp) dialler.link.tick(this.options.clock.monotonicMs())
    } else if (this.isOursToDial(name)) {
      this.dialler(name).isFound = true
      this.found += 1
    }
  }

  onPacket(from: string, side: Side, packet: Buffer): void {
    if (side === 'answer') {
      const dialler = this.diallers.get(from)
      if (dialler === undefined) this.onRejected()
      else dialler.link.receive(packet)
      return
    }
    if (!this.options.listens) {
      this.onRejected()
      return
    }
    const link = this.accepted.get(from)
    if (link !== undefined) {
      link.receive(packet)
      return
    }
    const met = this.options.hub.meet(packet, this.answering(from))
    if (met !== undefined) this.accepted.set(from, met)
  }

  onRejected(): void {
    this.options.hub.counters.rejectedMessages += 1
  }

  put(to: string, side: Side, packet: Buffer): boolean {
    return this.session?.put(to, side, packet) ?? false
  }

  private isOursToDial(name: string): boolean {
    const { finds, listens } = this.options
    return finds && this.found < FOUND_MAX && (!listens || name < this.options.name)
  }

  private dialler(name: string): Dialler {
    const known = this.diallers.get(name)
    if (known !== undefined) return known
    const dialler = new Dialler(name, this, this.options.hub)
    this.diallers.set(name, dialler)
    dialler.link.connected()
    return dialler
  }

  /** Nobody is there any more; forgotten unless somebody asked for it. */
  private lose(dialler: Dialler): void {
    if (dialler.isFound) this.found -= 1
    dialler.isFound = false
    dialler.link.disconnected()
    if (!dialler.isAsked) this.drop(dialler)
  }

  private drop(dialler: Dialler): void {
    this.diallers.delete(dialler.name)
    dialler.link.close()
  }

  private answering(to: string): Channel {
    return {
      send: (packet) => {
        if (!this.put(to, 'answer', packet)) this.accepted.get(to)?.lost(packet)
      },
      close: () => this.accepted.delete(to),
    }
  }
}

class Dialler implements Channel {
  readonly name: string
  readonly link: Link
  /** By the process itself; stays although nobody answers. */
  isAsked = false
  /** By its sign of life. */
  isFound = false
  private readonly links: ZenohLinks

  constructor(name: string, links: ZenohLinks, hub: LinkHub) {
    this.name = name
    this.links = links
    this.link = hub.dial(this)
  }

  send(packet: Buffer): void {
    if (!this.links.put(this.name, 'dial', packet)) this.link.lost(packet)
  }

  /** The link has ended; there is nothing of its own to free. */
  close(): void {}
}
