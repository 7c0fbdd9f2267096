// Reads everything a store holds once per period, at a bounded rate, and checks every CRC: a bit that
// rots is found while other stores still have the frame, and repair fetches it. Only files that are
// written no more are read; what is written now was checked a moment ago.
import type { Clock, Timer } from '../mesh/index.ts'

/** A file, by what tells it from others; the order of files is the store's. */
interface ScrubbedFile {
  readonly className: string
  readonly startMs: number
  readonly number: number
}

/** As much of a LevelStore as is needed. */
export interface ScrubbedStore {
  finishedFiles(): readonly ScrubbedFile[]
  verify(file: ScrubbedFile, pace: (bytes: number) => Promise<void>): Promise<number>
}

export interface ScrubOptions {
  readonly store: ScrubbedStore
  readonly clock: Clock
  /** From the begin of one pass to that of the next. */
  readonly periodMs: number
  /** Read at most so many bytes a second. */
  readonly bytesPerSecond: number
  /** Frames were found damaged. */
  readonly onDamage: () => void
  /** A pass has ended, at this time in µs since the Unix epoch. */
  readonly onPass: (endedUs: number) => Promise<void>
  readonly onError: (error: unknown) => void
}

export interface ScrubCounters {
  bytes: number
  damagedFrames: number
  passes: number
}

/** How often it is asked whether a pass is due. */
const LOOK_MS = 60_000

export class Scrub {
  readonly counters: ScrubCounters = { bytes: 0, damagedFrames: 0, passes: 0 }
  /** When the last pass ended, µs since the Unix epoch. */
  lastPassUs = 0
  private readonly options: ScrubOptions
  private timer: Timer | undefined
  private endWait: () => void = () => undefined
  private running: Promise<void> = Promise.resolve()
  private isStopped = false

  constructor(options: ScrubOptions) {
    this.options = options
  }

  /** `lastPassUs` as kept by `onPass`; of a new store, when it was made. */
  start(lastPassUs: number): void {
    this.lastPassUs = lastPassUs
    this.running = this.run()
  }

  async stop(): Promise<void> {
    this.isStopped = true
    this.timer?.cancel()
    this.endWait()
    await this.running
  }

  private async run(): Promise<void> {
    const { clock, periodMs, onError } = this.options
    while (!this.isStopped) {
      if (clock.nowUs() >= this.lastPassUs + periodMs * 1000) await this.pass().catch(onError)
      await this.wait(LOOK_MS)
    }
  }

  private async pass(): Promise<void> {
    const { store, clock, onDamage, onPass, onError } = this.options
    for (const file of store.finishedFiles()) {
      try {
        const damaged = await store.verify(file, (bytes) => this.pace(bytes))
        this.counters.damagedFrames += damaged
        if (damaged > 0) onDamage()
      } catch (error) {
        // The others are to be looked at all the same.
        if (!this.isStopped) onError(error)
      }
      if (this.isStopped) return
    }
    this.lastPassUs = clock.nowUs()
    this.counters.passes += 1
    await onPass(this.lastPassUs)
  }

  private async pace(bytes: number): Promise<void> {
    this.counters.bytes += bytes
    await this.wait((bytes / this.options.bytesPerSecond) * 1000)
  }

  private async wait(ms: number): Promise<void> {
    if (this.isStopped) return
    await new Promise<void>((resolve) => {
      this.endWait = resolve
      this.timer = this.options.clock.startTimer(ms, resolve)
    })
  }
}
