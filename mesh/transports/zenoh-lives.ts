// Who of a mesh is alive, from their liveliness tokens. A process is as long as any of its lives is: its
// new connection may be seen before the end of the old one.
import type { Life } from './zenoh-keys.ts'

/** What is remembered; beyond that, signs of life are ignored. */
const NAMES_MAX = 65_536
const LIVES_MAX = 16

export interface LivesHost {
  /** Another process appeared on this mesh, or is gone. `listens`: it can be dialled. */
  onPeer(name: string, listens: boolean, isAlive: boolean): void
}

export class ZenohLives {
  private readonly ownName: string
  private readonly host: LivesHost
  private readonly lives = new Map<string, Set<string>>()

  constructor(ownName: string, host: LivesHost) {
    this.ownName = ownName
    this.host = host
  }

  onLife({ name, listens, life }: Life, isThere: boolean): void {
    if (name === this.ownName) return
    const key = `${listens} ${name}`
    if (isThere) this.appear(key, life, () => this.host.onPeer(name, listens, true))
    else this.vanish(key, life, () => this.host.onPeer(name, listens, false))
  }

  clear(): void {
    this.lives.clear()
  }

  private appear(key: string, life: string, onFirst: () => void): void {
    const known = this.lives.get(key)
    if (known !== undefined) {
      if (known.size < LIVES_MAX) known.add(life)
    } else if (this.lives.size < NAMES_MAX) {
      this.lives.set(key, new Set([life]))
      onFirst()
    }
  }

  private vanish(key: string, life: string, onLast: () => void): void {
    const known = this.lives.get(key)
    if (known === undefined || !known.delete(life) || known.size > 0) return
    this.lives.delete(key)
    onLast()
  }
}
