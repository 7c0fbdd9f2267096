// The retention classes of the config, as a store works with them.
import type { RetentionClass } from '../../storage/index.ts'
import type { Config } from '../config/config.ts'

export function retentionClasses({ storage }: Config): RetentionClass[] {
  return storage.retention.map(({ name, streams, ageUs = Infinity, bytes = Infinity }) => ({
    name,
    streams,
    ageMs: ageUs / 1000,
    bytesMax: bytes,
  }))
}
