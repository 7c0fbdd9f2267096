// The keys of a mesh on Zenoh, all below skein/<mesh>/ (its name, escaped):
//
//   in/<name>/<from>/dial|answer       a packet for the process with that inbox (zenoh-links.ts)
//   in/<name>/<name>/echo              what a process sends itself, to hear that the bridge is there
//   alive/listens|dials/<name>/<life>  a sign of life; one more life at each connection, so that the
//                                      end of the one before is not taken for the end of this
import type { Random } from '../clock.ts'

/** What a process can be called: its inbox. A peer id, or a name from a config. */
export const INBOX_NAME = /^[A-Za-z0-9._-]{1,64}$/

const LIFE = /^[0-9a-f]{16}$/

/** Which side of a channel sent a packet: the one that dialled it, or the other. */
export type Side = 'dial' | 'answer'

export interface Address {
  readonly from: string
  readonly side: Side | 'echo'
}

export interface Life {
  readonly name: string
  /** Whether it can be dialled. */
  readonly listens: boolean
  readonly life: string
}

export class ZenohKeys {
  /** All that is sent to us. */
  readonly inbox: string
  readonly echo: string
  /** The signs of life to know of: who dials need not hear of all others that do. */
  readonly watched: string
  readonly ownLives: string
  private readonly inboxes: string
  private readonly name: string

  constructor(options: {
    readonly meshName: string
    readonly name: string
    readonly listens: boolean
  }) {
    const { meshName, name, listens } = options
    const root = `skein/${escapeChunk(meshName)}`
    this.name = name
    this.inboxes = `${root}/in`
    this.inbox = `${this.inboxes}/${name}/**`
    this.echo = `${this.inboxes}/${name}/${name}/echo`
    this.watched = `${root}/alive/${listens ? '*' : 'listens'}/*/*`
    this.ownLives = `${root}/alive/${listens ? 'listens' : 'dials'}/${name}/*`
  }

  packet(to: string, side: Side): string {
    return `${this.inboxes}/${to}/${this.name}/${side}`
  }

  /** A new one at each call. */
  life(random: Random): string {
    return this.ownLives.slice(0, -1) + Buffer.from(random.bytes(8)).toString('hex')
  }

  /** Of a key in our inbox; undefined when none of us made it. */
  readAddress(key: string): Address | undefined {
    const [from, side, ...rest] = key.slice(this.inbox.length - 2).split('/')
    if (from === undefined || !INBOX_NAME.test(from) || rest.length > 0) return undefined
    return side === 'dial' || side === 'answer' || side === 'echo' ? { from, side } : undefined
  }

  /** Of a key that is watched; undefined when none of us made it. */
  readLife(key: string): Life | undefined {
    const [role, name, life] = key.split('/').slice(3)
    if (name === undefined || !INBOX_NAME.test(name)) return undefined
    if (life === undefined || !LIFE.test(life)) return undefined
    if (role !== 'listens' && role !== 'dials') return undefined
    return { name, listens: role === 'listens', life }
  }
}

/** A mesh's name as one chunk of a key expression, which must not hold / * $ ? # nor begin with @. */
function escapeChunk(name: string): string {
  return encodeURIComponent(name.toWellFormed()).replaceAll('*', '%2A')
}
