// Was the system restarted between two lives? A process that dies loses nothing it has written; a
// system that stops loses what was not synced. Linux names each of its boots.
import { readFileSync } from 'node:fs'

const BOOT_ID_PATH = '/proc/sys/kernel/random/boot_id'

/** The running system's boot, or '' where there is no telling one from another. */
export function readBootId(): string {
  try {
    return readFileSync(BOOT_ID_PATH, 'latin1').trim()
  } catch {
    return ''
  }
}
