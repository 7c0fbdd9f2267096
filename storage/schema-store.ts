// Every schema this store has met, for ever: outside the buckets, so that retention leaves them alone,
// and on the disk before any frame that names them is acknowledged. All are in memory as well: there
// are few, and every query needs some.
import fs from 'node:fs'
import path from 'node:path'
import {
  canonicalJson,
  compileSchema,
  type JsonSchema,
  type Schema,
  type SchemaId,
} from '../mesh/index.ts'
import { asWriteError, makeDirectory, replaceFile } from './level/disk.ts'

export class SchemaStore {
  private readonly directory: string
  private readonly spoilt: readonly SchemaId[]
  private readonly schemas: Map<SchemaId, Schema>
  private readonly writing = new Map<SchemaId, Promise<void>>()

  constructor(directory: string, schemas: Map<SchemaId, Schema>, spoilt: readonly SchemaId[]) {
    this.directory = directory
    this.schemas = schemas
    this.spoilt = spoilt
  }

  /** Those whose files did not hold what they are named after, until they are put again. */
  get damaged(): readonly SchemaId[] {
    return this.spoilt.filter((id) => !this.schemas.has(id))
  }

  has(id: SchemaId): boolean {
    return this.schemas.has(id)
  }

  get(id: SchemaId): Schema | undefined {
    return this.schemas.get(id)
  }

  list(): readonly Schema[] {
    return [...this.schemas.values()]
  }

  /**
   * Resolves when the schema is on the disk; only then `has` and `get` know it.
   * @throws StorageError STORE_DISK_FULL, STORE_WRITE_FAILED.
   */
  async put(schema: Schema): Promise<void> {
    if (this.schemas.has(schema.id)) return
    let written = this.writing.get(schema.id)
    if (written === undefined) {
      written = this.write(schema).finally(() => this.writing.delete(schema.id))
      this.writing.set(schema.id, written)
    }
    await written
  }

  private async write(schema: Schema): Promise<void> {
    const file = path.join(this.directory, `${schema.id}.json`)
    try {
      await replaceFile(file, canonicalJson(schema.json))
    } catch (error) {
      throw asWriteError(error, `cannot keep the schema ${file}`)
    }
    this.schemas.set(schema.id, schema)
  }
}

/** Opens `directory` (made when missing) and reads every schema in it. */
export async function openSchemaStore(directory: string): Promise<SchemaStore> {
  await makeDirectory(directory)
  const schemas = new Map<SchemaId, Schema>()
  const damaged: SchemaId[] = []
  for (const name of await fs.promises.readdir(directory)) {
    const id = /^([0-9a-f]{16})\.json$/.exec(name)?.[1] as SchemaId | undefined
    if (id === undefined) continue
    const schema = parseSchema(await fs.promises.readFile(path.join(directory, name), 'utf8'))
    // The id is the hash of the content: a file that rotted is not the schema it is named after.
    if (schema?.id === id) schemas.set(id, schema)
    else damaged.push(id)
  }
  return new SchemaStore(directory, schemas, damaged)
}

function parseSchema(text: string): Schema | undefined {
  try {
    return compileSchema(JSON.parse(text) as JsonSchema)
  } catch {
    return undefined
  }
}
