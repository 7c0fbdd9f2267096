// A network namespace of a test's own, joined to this host by a veth pair that can be pulled out: a
// partition as machines have it, silent on both sides. Needs root and iproute2.
//
//   this host  10.231.N.1 ── veth ── 10.231.N.2  namespace
import { execFileSync } from 'node:child_process'
import { systemRandom } from '../../mesh/index.ts'

const ATTEMPTS = 20

export class Namespace implements AsyncDisposable {
  readonly name: string
  /** This host's address on the wire. */
  readonly hostAddress: string
  /** The namespace's. */
  readonly address: string
  private readonly near: string
  private readonly far: string

  private constructor(number: number) {
    this.name = `skein-${number}`
    this.near = `skn${number}`
    this.far = `skf${number}`
    this.hostAddress = `10.231.${number}.1`
    this.address = `10.231.${number}.2`
  }

  /** Why this machine has none; undefined when it has. */
  static unavailable(): string | undefined {
    if (process.getuid?.() !== 0) return 'network namespaces need root'
    try {
      execFileSync('ip', ['netns', 'list'], { stdio: 'pipe' })
      return undefined
    } catch {
      return 'network namespaces need iproute2 and a kernel that allows them'
    }
  }

  static create(): Namespace {
    let last: unknown
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const space = new Namespace(1 + Math.floor(systemRandom.next() * 250))
      try {
        ip('netns', 'add', space.name)
      } catch (error) {
        // Another test has that number.
        last = error
        continue
      }
      space.wire()
      return space
    }
    throw new Error('no network namespace could be made', { cause: last })
  }

  /** Pulls the wire: packets vanish on both sides, connections stay as they are. */
  cut(): void {
    this.inside('ip', 'link', 'set', this.far, 'down')
  }

  mend(): void {
    this.inside('ip', 'link', 'set', this.far, 'up')
  }

  /** What runs a program in it: the words before the program. */
  get enter(): readonly string[] {
    return ['ip', 'netns', 'exec', this.name]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The veth pair goes with it.
    ip('netns', 'delete', this.name)
    await Promise.resolve()
  }

  private wire(): void {
    ip('link', 'add', this.near, 'type', 'veth', 'peer', 'name', this.far, 'netns', this.name)
    ip('addr', 'add', `${this.hostAddress}/24`, 'dev', this.near)
    ip('link', 'set', this.near, 'up')
    this.inside('ip', 'link', 'set', 'lo', 'up')
    this.inside('ip', 'addr', 'add', `${this.address}/24`, 'dev', this.far)
    this.inside('ip', 'link', 'set', this.far, 'up')
  }

  private inside(...words: readonly string[]): void {
    ip('netns', 'exec', this.name, ...words)
  }
}

function ip(...words: readonly string[]): void {
  execFileSync('ip', words, { stdio: 'pipe' })
}
