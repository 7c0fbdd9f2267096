// Frames put in recorded order through a temporary file. Recordings are often grouped by source (the
// CapMetro days are: one bus's whole day, then the next one's), and played in file order at any speed
// all but the first would leave at once, at the end of the first. In memory stay three numbers a
// frame; the frames wait on disk.
//
//   spool file:  | frame | frame | frame | …      (v8.serialize: floats bit for bit, -0 included)
//   index:       completedUs, offset, bytes       sorted by completedUs, then by place in the file
//
// A source's own frames keep their order: their completedUs never falls.
import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deserialize, serialize } from 'node:v8'
import type { CutFrame } from './cut.ts'

/** Bytes gathered before a write. */
const WRITE_BYTES = 1 << 20

interface Place {
  readonly completedUs: number
  readonly offset: number
  readonly bytes: number
}

export class Spool implements AsyncDisposable {
  readonly #folder: string
  readonly #file: FileHandle
  readonly #places: Place[] = []
  #waiting: Buffer[] = []
  #waitingBytes = 0
  #size = 0

  private constructor(folder: string, file: FileHandle) {
    this.#folder = folder
    this.#file = file
  }

  static async create(parent = tmpdir()): Promise<Spool> {
    const folder = await mkdtemp(join(parent, 'skein-replay-'))
    return new Spool(folder, await open(join(folder, 'frames'), 'w+', 0o600))
  }

  async add(frame: CutFrame): Promise<void> {
    const bytes = serialize(frame)
    this.#places.push({
      completedUs: frame.completedUs,
      offset: this.#size,
      bytes: bytes.length,
    })
    this.#size += bytes.length
    this.#waiting.push(bytes)
    this.#waitingBytes += bytes.length
    if (this.#waitingBytes >= WRITE_BYTES) await this.#write()
  }

  /** All frames by the time they were complete; frames of one instant in the order they were added. */
  async *inRecordedOrder(): AsyncGenerator<CutFrame> {
    await this.#write()
    // Array.prototype.sort is stable, which keeps equal times in order of adding.
    this.#places.sort((a, b) => a.completedUs - b.completedUs)
    for (const { offset, bytes } of this.#places) {
      const { buffer } = await this.#file.read(Buffer.alloc(bytes), 0, bytes, offset)
      yield deserialize(buffer) as CutFrame
    }
  }

  async #write(): Promise<void> {
    const bytes = Buffer.concat(this.#waiting)
    this.#waiting = []
    this.#waitingBytes = 0
    if (bytes.length > 0) await this.#file.appendFile(bytes)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close()
    await rm(this.#folder, { recursive: true, force: true })
  }
}
