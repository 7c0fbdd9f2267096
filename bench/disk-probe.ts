// Times one append of 4 KiB with its fdatasync every 20 ms: what the disk takes at this moment.
import { fdatasyncSync, openSync, writeSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'

const EVERY_MS = 20

const fd = openSync(workerData as string, 'w')
const block = Buffer.alloc(4096, 7)

setInterval(() => {
  const startMs = performance.now()
  writeSync(fd, block)
  fdatasyncSync(fd)
  parentPort!.postMessage((performance.now() - startMs) * 1000)
}, EVERY_MS)
