// A file is safe from a power cut only when the directory that names it is synced too.
import { closeSync, fsyncSync, openSync } from 'node:fs'
import { mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Creates a directory and its missing parents, and brings their names to disk. */
export async function createDirectory(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true })
  if (first === undefined) return
  const top = dirname(first)
  for (let at = dirname(path); at.length >= top.length; at = dirname(at)) {
    await syncDirectory(at)
    if (at === dirname(at)) return
  }
}

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
