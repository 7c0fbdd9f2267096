// The last record of a store's newest segment, torn: once a record that was never acknowledged, of which a
// half reached the disk; once one that was, on a disk that lost its end. The first costs nothing, the second
// must be seen, and its frame fetched from another store.
import { closeSync, openSync, readSync, statSync, truncateSync, writeSync } from 'node:fs'
import { IntervalSet, systemClock } from '../../mesh/index.ts'
import { scanSegment } from '../../storage/level/record.ts'
import { filesOf, lanesOnDisk } from './disk-contents.ts'
import type { Fault, FaultOptions, FaultOutcome } from './fault.ts'
import { Rig } from './rig.ts'

export const tornRecord: Fault = {
  name: 'torn-record',
  title: 'torn last record of a segment',
  plants: ['no-repair'],
  runs: 2,
  run,
}

async function run(options: FaultOptions): Promise<FaultOutcome> {
  await using rig = await Rig.open(options)
  const { load } = rig
  const torn = { added: 0, cut: 0 }
  for (let n = 0; n < options.runs; n++) {
    const victim = rig.pick()
    await load.ackedMore(100)
    await rig.kill(victim)
    const segment = newestSegment(victim.directory)
    const before = await lanesOnDisk(victim.directory)
    if (n % 2 === 0) {
      torn.added += await addHalfRecord(segment)
      rig.expectKept(victim, await lanesOnDisk(victim.directory))
    } else {
      rig.damaged.add(rig.storeIdOf(victim))
      torn.cut += await cutLastRecord(segment)
      const lost = count(before) - count(await lanesOnDisk(victim.directory))
      if (lost !== 1) throw new Error(`a record was torn, and the store misses ${lost} frames`)
    }
    const backMs = systemClock.monotonicMs()
    await victim.start()
    await rig.mesh.joined()
    await rig.whole(backMs)
  }
  const happened = `${torn.added} bytes of a record added, ${torn.cut} bytes of an acknowledged one cut off`
  return await rig.outcome(happened, options.runs)
}

const count = (lanes: Awaited<ReturnType<typeof lanesOnDisk>>): number =>
  lanes.reduce((sum, { held }) => sum + new IntervalSet(held).size, 0)

function newestSegment(directory: string): string {
  const segments = filesOf(directory, /\.seg$/).filter((file) => statSync(file).size > 100)
  return segments.toSorted((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)[0]!
}

/** As a write that was cut short leaves it: its head is good, its end is not there. Returns the bytes. */
async function addHalfRecord(file: string): Promise<number> {
  const { at, bytes } = await lastRecord(file)
  const half = Buffer.alloc(bytes >> 1)
  const fd = openSync(file, 'r+')
  readSync(fd, half, 0, half.length, at)
  writeSync(fd, half, 0, half.length, at + bytes)
  closeSync(fd)
  return half.length
}

async function cutLastRecord(file: string): Promise<number> {
  const { at, bytes } = await lastRecord(file)
  truncateSync(file, at + (bytes >> 1))
  return bytes - (bytes >> 1)
}

async function lastRecord(file: string): Promise<{ at: number; bytes: number }> {
  let at = 0
  const fd = openSync(file, 'r')
  await scanSegment(fd, ({ offset }) => (at = offset))
  closeSync(fd)
  return { at, bytes: statSync(file).size - at }
}
