// The schemas that frames in the log name, one file each: schemas/<id>, a schema frame
// (docs/wire-format.md, "Schemas"), which can be checked by itself. Written once, whole and synced,
// before the first seal that names it; deleted when the log is opened and no frame names it any more.
import {
  closeSync,
  fdatasyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { MeshError } from '../errors.ts'
import { readFrame } from '../frame.ts'
import type { SchemaId } from '../names.ts'
import { type Schema, schemaFrame, schemaFromFrame } from '../schema.ts'
import { syncDirectoryNow } from '../directory.ts'

export class SchemaFiles {
  private readonly directory: string
  /** On disk for certain. */
  private readonly written = new Set<SchemaId>()

  constructor(outboxDirectory: string) {
    this.directory = join(outboxDirectory, 'schemas')
  }

  /** Deletes the files of all other schemas. */
  async keepOnly(ids: ReadonlySet<SchemaId>): Promise<void> {
    for (const name of await readdir(this.directory).catch(() => [])) {
      if (!ids.has(name as SchemaId)) await rm(join(this.directory, name), { force: true })
    }
  }

  /** Blocks for a few syncs, once per schema. @throws the error of the system. */
  write(schema: Schema): void {
    if (this.written.has(schema.id)) return
    if (this.read(schema.id) === undefined) this.create(schema)
    // Its name too, which an earlier life may not have lived to sync.
    syncDirectoryNow(this.directory)
    if (this.written.size === 0) syncDirectoryNow(dirname(this.directory))
    this.written.add(schema.id)
  }

  /** Undefined when it was never written, or is damaged. */
  read(id: SchemaId): Schema | undefined {
    try {
      const frame = readFrame(readFileSync(join(this.directory, id)))
      if (typeof frame === 'string' || frame.schemaId !== id) return undefined
      return schemaFromFrame(frame)
    } catch (error) {
      if (error instanceof MeshError || (error instanceof Error && 'errno' in error)) {
        return undefined
      }
      throw error
    }
  }

  private create(schema: Schema): void {
    mkdirSync(this.directory, { recursive: true })
    const path = join(this.directory, schema.id)
    const draft = `${path}.new`
    const fd = openSync(draft, 'w')
    try {
      const bytes = schemaFrame(schema)
      for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done)
      fdatasyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(draft, path)
  }
}
