// A small JSON document that survives a crash whole: each save is written aside, synced, renamed over
// the old one, and the directory synced. Saves follow one another, in the order they were asked for.
import fs from 'node:fs'
import path from 'node:path'
import { crc32 } from 'node:zlib'
import { StorageError } from './errors.ts'
import { asWriteError, isErrorCode, makeDirectory, replaceFile } from './level/disk.ts'

interface Checked {
  /** Of the JSON of all other keys. */
  readonly crc?: number
}

const crcOf = (document: object): number => crc32(JSON.stringify(document))

/** `T` must come back equal from JSON. */
export class DurableJson<T extends object> {
  private readonly file: string
  private saving: Promise<unknown> = Promise.resolve()

  constructor(file: string) {
    this.file = file
  }

  /**
   * The last document saved, or undefined when there is none.
   * @throws StorageError STORE_DAMAGED when the file holds no JSON.
   */
  async load(): Promise<T | undefined> {
    await this.saving
    let text: string
    try {
      text = await fs.promises.readFile(this.file, 'utf8')
    } catch (error) {
      if (isErrorCode(error, 'ENOENT')) return undefined
      throw error
    }
    let saved: Checked
    try {
      saved = JSON.parse(text) as Checked
    } catch (cause) {
      throw new StorageError('STORE_DAMAGED', `${this.file} is not JSON`, { cause })
    }
    const { crc, ...document } = saved
    if (crc !== crcOf(document)) {
      throw new StorageError(
        'STORE_DAMAGED',
        `${this.file} is not as it was written: its CRC is wrong`,
      )
    }
    return document as T
  }

  /**
   * Resolves when the document is on the disk.
   * @throws StorageError STORE_DISK_FULL, STORE_WRITE_FAILED; the old document is still there then.
   */
  save(document: T): Promise<void> {
    const text = `${JSON.stringify({ ...document, crc: crcOf(document) }, null, 2)}\n`
    const saved = this.saving.then(() => this.write(text))
    this.saving = saved.catch(() => undefined)
    return saved
  }

  private async write(text: string): Promise<void> {
    try {
      await makeDirectory(path.dirname(this.file))
      await replaceFile(this.file, text)
    } catch (error) {
      throw asWriteError(error, `cannot save ${this.file}`)
    }
  }
}
