// The test's side of disk-shim.c: compiled once, one for each process that is to have it. Its control file
// is shared memory, so that what is set here holds for the very next call in the process.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'

const SOURCE = join(import.meta.dirname, 'disk-shim.c')
const CACHE = join(import.meta.dirname, '../../node_modules/.cache/skein-tests')

/** Where each i64 of `struct control` is. */
const CONTROL_BYTES = 48
const FAIL_FROM = 0
const LIES = 8
const MONOTONIC_SHIFT = 16
const WALL_SHIFT = 24
const SYNCS = 32
const SYNC_NS = 40

const NS_PER_US = 1000n

/**
 * One line of the log, see disk-shim.c. `bytes` of S; `directory` and `name` of C, N, R and M. A, an
 * acknowledgement is sent, is of log-acks.ts.
 */
export interface DiskEvent {
  readonly kind: 'C' | 'N' | 'R' | 'M' | 'S' | 'D' | 'F' | 'A'
  readonly inode: string
  readonly directory?: string
  readonly name?: string
  readonly bytes?: number
}

export class DiskShim {
  private readonly control: string
  private readonly log: string

  /** `directory` is its own, outside of what it watches; one that is there already goes on. */
  constructor(directory: string) {
    mkdirSync(directory, { recursive: true })
    this.control = join(directory, 'control')
    this.log = join(directory, 'log')
    if (existsSync(this.control)) return
    writeFileSync(this.control, Buffer.alloc(CONTROL_BYTES))
    writeFileSync(this.log, '')
  }

  /** Why there is none on this machine. */
  static unavailable(): string | undefined {
    if (process.platform !== 'linux') return 'the disk shim is for Linux'
    try {
      library()
      return undefined
    } catch (error) {
      return `the disk shim does not compile: ${(error as Error).message.split('\n')[0]}`
    }
  }

  /** Of the process that is to have it. */
  get env(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: library(),
      DISK_SHIM_CONTROL: this.control,
      DISK_SHIM_LOG: this.log,
    }
  }

  /** Every sync from now on fails with EIO. */
  failSyncs(): void {
    this.set(FAIL_FROM, this.get(SYNCS) + 1n)
  }

  healSyncs(): void {
    this.set(FAIL_FROM, 0n)
  }

  /** Syncs are called good and nothing is synced. */
  lie(): void {
    this.set(LIES, 1n)
  }

  /** Each sync takes so much longer: a kill then mostly falls into one. */
  slowSyncs(us: number): void {
    this.set(SYNC_NS, BigInt(us) * NS_PER_US)
  }

  /** What the process takes for now is so much later; negative: earlier. */
  shiftWallClock(us: number): void {
    this.set(WALL_SHIFT, BigInt(us) * NS_PER_US)
  }

  /** So much time has passed, for all clocks of the process, since it was made. */
  passTime(us: number): void {
    this.shiftWallClock(us)
    this.set(MONOTONIC_SHIFT, BigInt(us) * NS_PER_US)
  }

  /** How often the process has synced anything. */
  get syncs(): number {
    return Number(this.get(SYNCS))
  }

  /** What has been written down, in order. */
  events(): DiskEvent[] {
    const lines = readFileSync(this.log, 'latin1').split('\n').slice(0, -1)
    return lines.map((line) => {
      const [kind, inode = '', value = '', name = ''] = line.split(' ')
      const event = { kind: kind as DiskEvent['kind'], inode }
      if (kind === 'S') return { ...event, bytes: Number(value) }
      return 'CNRM'.includes(event.kind) ? { ...event, directory: value, name } : event
    })
  }

  private get(at: number): bigint {
    const bytes = Buffer.alloc(8)
    const fd = openSync(this.control, 'r')
    readSync(fd, bytes, 0, 8, at)
    closeSync(fd)
    return bytes.readBigInt64LE()
  }

  private set(at: number, value: bigint): void {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(value)
    const fd = openSync(this.control, 'r+')
    writeSync(fd, bytes, 0, 8, at)
    closeSync(fd)
  }
}

/** The compiled shim, by the hash of its text: several test files may want it at once. */
function library(): string {
  const hash = createHash('sha256').update(readFileSync(SOURCE)).digest('hex').slice(0, 16)
  const file = join(CACHE, `disk-shim-${hash}.so`)
  if (existsSync(file)) return file
  mkdirSync(dirname(file), { recursive: true })
  const made = `${file}.${process.pid}`
  execFileSync('gcc', ['-O2', '-Wall', '-shared', '-fPIC', '-o', made, SOURCE, '-ldl'], {
    stdio: 'pipe',
  })
  renameSync(made, file)
  return file
}
