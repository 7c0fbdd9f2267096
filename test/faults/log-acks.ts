// Preloaded into a storage peer that has the disk shim: writes each acknowledgement of synced frames into
// the shim's log just before it is sent, so that its place among the syncs is known.
import { openSync, writeSync } from 'node:fs'
import { plant } from '../contract/planted/plant.ts'

const log = openSync(process.env['DISK_SHIM_LOG']!, 'a')

declare global {
  var noteAck: (level: string) => void
}

globalThis.noteAck = (level) => {
  if (level === 'synced') writeSync(log, 'A\n')
}

plant('storage/acks.ts', 'transport.publish(ackTopic', (found) => `noteAck(level)\n${found}`)
