// Schemas that repair needs from other stores: those of frames it pulls, and those whose files were found
// damaged here.
import { readFrame, schemaFromFrame, type Schema, type SchemaId } from '../../mesh/index.ts'
import type { RepairPeer } from '../query/peer.ts'

/** As much of a SchemaStore as is needed. */
export interface SchemaKeeper {
  has(id: SchemaId): boolean
  /** Resolves once it is synced. */
  put(schema: Schema): Promise<void>
  /** Those it had once and cannot read any more. */
  readonly damaged: readonly SchemaId[]
}

/**
 * Has a schema kept that another store has; false when that has none of this name, or bytes that are
 * none. @throws when that store does not answer, or this one cannot write.
 */
export async function fetchSchema(
  peer: RepairPeer,
  id: SchemaId,
  schemas: SchemaKeeper,
  signal: AbortSignal,
): Promise<boolean> {
  const schema = schemaOf(await peer.schema(id, signal))
  if (schema?.id !== id) return false
  await schemas.put(schema)
  return true
}

function schemaOf(bytes: Buffer | undefined): Schema | undefined {
  const frame = bytes && readFrame(bytes)
  if (frame === undefined || typeof frame === 'string') return undefined
  try {
    return schemaFromFrame(frame)
  } catch {
    // What another store calls a schema and is none.
    return undefined
  }
}
