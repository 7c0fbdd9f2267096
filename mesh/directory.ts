// A file is safe from a power cut only when the directory that names it is synced too.
import { closeSync, existsSync, fsyncSync, openSync } from 'node:fs'
import { mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Makes a directory and its missing parents, each name synced in its parent. */
export async function createDirectory(path: string): Promise<void> {
  if (existsSync(path)) return
  const parent = dirname(path)
  await createDirectory(parent)
  try {
    // Not `recursive`: under /proc, where nothing can be made, that never returns.
    await mkdir(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  await syncDirectory(parent)
}

/** Makes the names in a directory last. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** As syncDirectory, blocking. */
export function syncDirectoryNow(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
