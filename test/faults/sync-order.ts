// Whether a store synced the names of its segments before it acknowledged what is in them: a file that is
// synced and whose directory is not is gone after a power cut.
import type { DiskEvent } from './disk-shim.ts'

export interface SyncOrder {
  readonly acks: number
  /** Segments that were made, and directories for them. */
  readonly segments: number
  readonly directories: number
  /** Acknowledgements sent while a segment had synced frames and no lasting name. */
  readonly tooEarly: number
}

export function syncOrder(events: readonly DiskEvent[]): SyncOrder {
  const order = { acks: 0, segments: 0, directories: 0, tooEarly: 0 }
  /** Not yet named by a synced directory: inode → its directory. */
  const nameless = new Map<string, string>()
  /** Directory of each segment that has been synced itself. */
  const synced = new Map<string, string>()
  const segments = new Map<string, string>()
  for (const { kind, inode, directory, name } of events) {
    if (kind === 'C' || kind === 'M') {
      // An inode may have been another file's before.
      segments.delete(inode)
      synced.delete(inode)
    }
    if (kind === 'C' && name!.endsWith('.seg')) {
      order.segments += 1
      segments.set(inode, directory!)
    }
    if (kind === 'M') order.directories += 1
    if (kind === 'C' || kind === 'M') nameless.set(inode, directory!)
    if (kind === 'S' && segments.has(inode)) synced.set(inode, segments.get(inode)!)
    if (kind === 'D') {
      for (const [named, parent] of nameless) if (parent === inode) nameless.delete(named)
    }
    if (kind !== 'A') continue
    order.acks += 1
    const isGone = ([segment, parent]: [string, string]): boolean =>
      nameless.has(segment) || nameless.has(parent)
    if ([...synced].some(isGone)) order.tooEarly += 1
  }
  return order
}
