// Writes batches to a file and syncs them, on this thread or on one of the pool. The way to the pool and
// back takes 50 to 200 µs, more when the cores are busy: as long as a good disk takes for a small commit.
// On this thread nothing else happens meanwhile, so only what is small and quick is done here: once a turn
// of the event loop, and not for a minute after a disk has kept it waiting.
import fs from 'node:fs'
import type { Clock } from '../../mesh/index.ts'

/** Up to so many bytes go to the page cache on this thread: that takes some microseconds. */
const WRITE_HERE_BYTES = 32 * 1024
/** A larger commit says that more is coming, to be taken in while it is synced. */
const SYNC_HERE_BYTES = 1024
/** What a sync on this thread may take, by those before. */
const SYNC_HERE_MS = 0.5
/** One that held up this thread so long, which no earlier one foretold: the disk has pauses. */
const PAUSE_MS = 10
/** Nothing is synced on this thread so long after a pause. */
const REST_MS = 60_000
/** Taken for the time of a sync until there were some. */
const UNKNOWN_MS = 5
/** Enough for a batch of the writer: below this a disk is as good as full. */
const PROBE_BYTES = 4 << 20

export class Appender {
  /** Without it nothing is synced: what was appended is lost with the power. */
  readonly syncs: boolean
  /** fdatasync calls so far. */
  syncCount = 0
  private readonly clock: Clock
  /** What a sync takes, smoothed; rises at once with one that held up this thread. */
  private syncMs = UNKNOWN_MS
  private restsUntilMs = -Infinity
  /** In this turn of the event loop: a second one would say that frames trickle in, to be synced together. */
  private hasSyncedHere = false

  constructor({ sync, clock }: { sync: boolean; clock: Clock }) {
    this.syncs = sync
    this.clock = clock
  }

  /** Writes all of `bytes[0, length)` at `position`. Rejects with the bare system error. */
  write(fd: number, bytes: Buffer, length: number, position: number): Promise<void> {
    return new Promise((resolve, reject) => {
      // A nearly full disk takes a part of it and only the next call says why: hence the loops.
      if (length <= WRITE_HERE_BYTES) {
        for (let at = 0; at < length;) at += fs.writeSync(fd, bytes, at, length - at, position + at)
        resolve()
        return
      }
      const writeFrom = (from: number): void => {
        fs.write(fd, bytes, from, length - from, position + from, (error, written) => {
          if (error !== null) reject(error)
          else if (from + written < length) writeFrom(from + written)
          else resolve()
        })
      }
      writeFrom(0)
    })
  }

  /**
   * Syncs what was written, `length` bytes. Rejects with the bare system error. On this thread it may
   * only be where nobody is to hear something first.
   */
  sync(fd: number, length: number, mayBeHere: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error: Error | null): void => {
        if (error === null) resolve()
        else reject(error)
      }
      if (this.syncs) this.syncCount += 1
      if (!this.syncs) resolve()
      else if (mayBeHere && this.isQuick(length)) this.syncHere(fd, settle)
      else this.syncThere(fd, settle)
    })
  }

  /** Writes, syncs and removes a file, to see that the disk takes bytes again. @throws the system's error. */
  async probe(file: string): Promise<void> {
    const fd = fs.openSync(file, 'w')
    try {
      await this.write(fd, Buffer.alloc(PROBE_BYTES), PROBE_BYTES, 0)
      await this.sync(fd, PROBE_BYTES, false)
    } finally {
      fs.closeSync(fd)
      fs.unlinkSync(file)
    }
  }

  private isQuick(length: number): boolean {
    if (length > SYNC_HERE_BYTES || this.syncMs > SYNC_HERE_MS || this.hasSyncedHere) return false
    return this.clock.monotonicMs() >= this.restsUntilMs
  }

  private syncHere(fd: number, settle: (error: Error | null) => void): void {
    this.hasSyncedHere = true
    setImmediate(() => (this.hasSyncedHere = false))
    const startMs = this.clock.monotonicMs()
    try {
      fs.fdatasyncSync(fd)
    } catch (error) {
      settle(error as Error)
      return
    }
    const endMs = this.clock.monotonicMs()
    this.smooth(endMs - startMs)
    this.syncMs = Math.max(this.syncMs, endMs - startMs)
    if (endMs - startMs > PAUSE_MS) this.restsUntilMs = endMs + REST_MS
    settle(null)
  }

  private syncThere(fd: number, settle: (error: Error | null) => void): void {
    const startMs = this.clock.monotonicMs()
    fs.fdatasync(fd, (error) => {
      if (error === null) this.smooth(this.clock.monotonicMs() - startMs)
      settle(error)
    })
  }

  private smooth(ms: number): void {
    this.syncMs += (ms - this.syncMs) / 8
  }
}
