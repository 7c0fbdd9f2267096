// Keeps a link to one public key, for ever: opens a stream, and another one when that ends.
import type { SecretStream } from 'hyperdht'
import type { Clock, Random, Timer } from '../clock.ts'
import type { Dial } from '../links/link-transport.ts'
import type { StreamLink } from './hyperswarm-link.ts'

const REDIAL_MS = 200
const REDIAL_MS_MAX = 5000
/** Where the peer is linked by other means: how soon it is noticed that it no longer is. */
const IDLE_MS = 500

export interface DiallerOptions {
  readonly clock: Clock
  readonly random: Random
  /** Whether the peer is linked without this dialler. */
  isLinked(): boolean
  /** Opens a stream and says when a link goes over it; undefined while there is no way to. */
  open(onLink: (link: StreamLink) => void): SecretStream | undefined
}

export class Dialler implements Dial {
  private readonly options: DiallerOptions
  private timer: Timer | undefined
  private stream: SecretStream | undefined
  private link: StreamLink | undefined
  private delayMs = REDIAL_MS
  private isClosed = false

  constructor(options: DiallerOptions) {
    this.options = options
  }

  start(): void {
    this.timer = undefined
    const stream = this.options.isLinked() ? undefined : this.open()
    if (stream === undefined) this.startIn(IDLE_MS)
    else stream.on('close', () => this.onClose())
    this.stream = stream
  }

  close(): void {
    this.isClosed = true
    this.timer?.cancel()
    if (this.link === undefined) this.stream?.destroy()
    else this.link.farewell()
  }

  private open(): SecretStream | undefined {
    return this.options.open((link) => {
      this.link = link
    })
  }

  private onClose(): void {
    if (this.link?.hasMet === true) this.delayMs = REDIAL_MS
    this.stream = undefined
    this.link = undefined
    this.startIn(this.delayMs * (0.75 + this.options.random.next() / 2))
    this.delayMs = Math.min(this.delayMs * 2, REDIAL_MS_MAX)
  }

  private startIn(ms: number): void {
    if (!this.isClosed) this.timer = this.options.clock.startTimer(ms, () => this.start())
  }
}
