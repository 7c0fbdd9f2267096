// A part of the test's own process that is run as if it were one of its own, for the memory transport.
import type { ReadyMessage, Runner } from './program.ts'

/** What a body can be asked. */
export interface LocalBody {
  handle?(message: { readonly type: string }): void
  pause?(): void
  resume?(): void
  /** As it ends when asked to. */
  stop(): Promise<void>
  /** Without waiting for anybody. */
  abandon(): Promise<void>
}

export class LocalProgram implements Runner {
  readonly ready: Promise<ReadyMessage>
  readonly rssMaxBytes = undefined
  isRunning = true
  private body: LocalBody | undefined
  private readonly lines: string[] = []

  constructor(start: (warn: (line: string) => void) => Promise<LocalBody>) {
    this.ready = start((line) => this.lines.push(line)).then((body) => {
      this.body = body
      return { type: 'ready' }
    })
  }

  get said(): string {
    return this.lines.join('\n')
  }

  send(message: object): void {
    this.body!.handle?.(message as { type: string })
  }

  kill(): Promise<void> {
    return this.end()
  }

  async pause(): Promise<void> {
    await this.ready
    this.body!.pause!()
  }

  resume(): void {
    this.body!.resume!()
  }

  async stop(): Promise<number> {
    await this.ready
    this.isRunning = false
    await this.body!.stop()
    return 0
  }

  async end(): Promise<void> {
    if (!this.isRunning) return
    this.isRunning = false
    await this.ready.catch(() => undefined)
    await this.body?.abandon()
  }
}
