// A file that is there while the log is closed and all of it is on disk. Without it, a start after a
// reboot cannot know whether the log's last bytes ever got there.
import { rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { syncDirectory } from '../directory.ts'

const NAME = 'closed'

export async function isClosed(directory: string): Promise<boolean> {
  const found = await stat(join(directory, NAME)).catch(() => undefined)
  return found !== undefined
}

/** Call when everything is synced and nothing more will be written. */
export async function markClosed(directory: string): Promise<void> {
  await writeFile(join(directory, NAME), '')
  await syncDirectory(directory)
}

/** Call before the first append: were the file back after a power cut, it would be a lie. */
export async function markOpen(directory: string): Promise<void> {
  if (!(await isClosed(directory))) return
  await rm(join(directory, NAME), { force: true })
  await syncDirectory(directory)
}
