// A writer in a process of its own, for tests that kill it. Stores frames of ten lanes as fast as it
// can and writes a line `lane from to` to its output for every run that was acknowledged.
// `node store-child.ts <directory> [nosync]`
import fs from 'node:fs'
import { systemClock } from '../../mesh/index.ts'
import { openLevelStore } from '../../storage/level/level-store.ts'
import { Writer } from '../../storage/writer.ts'
import { testFrame } from '../../storage/conformance/test-frames.ts'

const [directory, mode] = process.argv.slice(2)
if (directory === undefined) throw new TypeError('usage: store-child.ts <directory> [nosync]')

const LANES = 10
const WAITING_MAX = 64

const store = await openLevelStore({
  directory,
  segmentFramesMax: 400,
  sync: mode !== 'nosync',
})
const writer = new Writer<number>({
  store,
  clock: systemClock,
  commitIntervalMs: 0,
  onCommitted: (results) => {
    const lines = results.map(({ outcome, origin, sequence }) => {
      if (outcome !== 'stored') throw new Error(`frame ${sequence} is ${outcome}`)
      return `${origin} ${sequence} ${sequence}\n`
    })
    // Synchronous: what has been acknowledged has left the process when it is killed.
    fs.writeSync(1, lines.join(''))
  },
})

// The parent ends it; should the parent be gone, so is its end of the pipe.
process.stdin.on('end', () => process.exit(0)).resume()
for (let n = 0; ; n++) {
  const source = `VH00${n % LANES}`
  const { frame } = testFrame({ source, sequence: Math.floor(n / LANES) + 1 })
  writer.offer(frame, n % LANES)
  if (n % WAITING_MAX === 0) await new Promise(setImmediate)
  if (writer.queuedBytes > 100_000) await writer.drain()
}
