// One process per outbox. Node.js offers no file lock, but its SQLite does: an exclusive transaction
// on an empty file holds an fcntl lock that the kernel drops when the process dies, however it dies,
// so nothing is ever left to clean up. Process ids in a file would be wrong after a reboot and between
// containers that share a volume. Nothing is ever written: the file stays at 0 bytes.
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { MeshError } from '../errors.ts'

/** SQLITE_BUSY, https://sqlite.org/rescode.html#busy */
const SQLITE_BUSY = 5

export interface Lock {
  release(): void
}

/** @throws MeshError MESH_OUTBOX_IN_USE when this or another process holds it. */
export function lockDirectory(directory: string): Lock {
  const path = join(directory, 'lock')
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(path, { timeout: 0 })
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (error) {
    database?.close()
    throw lockError(directory, error)
  }
  const held = database
  return { release: () => held.close() }
}

function lockError(directory: string, cause: unknown): MeshError {
  if ((cause as { errcode?: unknown }).errcode === SQLITE_BUSY) {
    return new MeshError('MESH_OUTBOX_IN_USE', `outbox ${directory} is open in another publisher`, {
      retryable: true,
      cause,
    })
  }
  return new MeshError('MESH_OUTBOX_WRITE_FAILED', `cannot lock outbox ${directory}`, { cause })
}
