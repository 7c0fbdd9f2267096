// A virtual machine gives memory that is free for some seconds back to its host, and a page that is used
// again afterwards costs several times what writing it does: what is measured then is whose pages were
// free last. On a machine of its own a server finds its memory in place, so here it is put in place first.
import fs from 'node:fs'
import { join } from 'node:path'

const PIECE = Buffer.alloc(1 << 20)

/** Has `bytes` of the page cache in place for who writes within the next seconds. */
export function putMemoryInPlace(directory: string, bytes: number): void {
  const file = join(directory, 'memory')
  const fd = fs.openSync(file, 'w')
  try {
    for (let at = 0; at < bytes; at += PIECE.length) fs.writeSync(fd, PIECE)
  } finally {
    fs.closeSync(fd)
    fs.unlinkSync(file)
  }
}
