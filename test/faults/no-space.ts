// A full disk: the directory of one store is a small tmpfs, under load until it takes no more. It must say
// so and acknowledge nothing, while the others go on; with space again it must come back by itself.
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mkdtempSync } from 'node:fs'
import { eventually } from '../../mesh/conformance/eventually.ts'
import { systemClock } from '../../mesh/index.ts'
import type { StoragePeer } from '../harness/storage-peer.ts'
import type { Fault, FaultOptions, FaultOutcome } from './fault.ts'
import { Rig } from './rig.ts'

const MIB = 1024 * 1024
const DISK_MIB = 96
/** Less than the store asks for before it goes on. */
const LEFT_MIB = 3
const LOAD = { samplesPerSecond: 300, textBytes: 16_000 }

export const noSpace: Fault = {
  name: 'no-space',
  title: 'a full disk (tmpfs) under load, then space again',
  plants: ['no-repair'],
  runs: 1,
  unavailable,
  run,
}

function unavailable(): string | undefined {
  const directory = mkdtempSync(join(tmpdir(), 'skein-mount-'))
  try {
    mount(directory)
    execFileSync('umount', [directory])
    return undefined
  } catch {
    return 'a tmpfs cannot be mounted here: that needs root on Linux'
  } finally {
    rmSync(directory, { recursive: true })
  }
}

async function run(options: FaultOptions): Promise<FaultOutcome> {
  await using rig = await Rig.open(options, {
    load: LOAD,
    prepare: (store, its) => {
      if (store.name === 's2') giveSmallDisk(store, its)
    },
  })
  const { load } = rig
  const victim = rig.store(1)
  const ballast = join(victim.directory, 'ballast')
  const { bavail, bsize } = statfsSync(victim.directory)
  writeFileSync(ballast, Buffer.alloc(bavail * bsize - LEFT_MIB * MIB))
  const refusal = await eventually(
    async () => {
      const { status, reasons } = await victim.health()
      return status === 503 && reasons.find((reason) => reason.includes('STORE_DISK_FULL'))
    },
    { what: 'the store says that its disk is full', deadlineMs: 60_000, everyMs: 20 },
  )
  // Of what it acknowledged before, the receipts wait for another store.
  await load.ackedMore(200)
  const acksBefore = load.ledger.framesOf(rig.storeIdOf(victim))
  await load.ackedMore(300)
  const acksAfter = load.ledger.framesOf(rig.storeIdOf(victim))
  if (acksAfter > acksBefore) throw new Error('a store without space acknowledged frames')
  rmSync(ballast)
  const spaceMs = systemClock.monotonicMs()
  await eventually(async () => (await victim.health()).status === 200, {
    what: 'the store takes frames again',
    deadlineMs: 60_000,
    everyMs: 20,
  })
  await load.ackedMore(100)
  await rig.whole(spaceMs)
  return await rig.outcome(`refused: ${refusal}; 300 samples acknowledged by the others`, 1)
}

function giveSmallDisk({ directory }: StoragePeer, rig: Rig): void {
  mkdirSync(directory)
  mount(directory)
  rig.atEnd(() => execFileSync('umount', [directory]))
}

function mount(directory: string): void {
  const words = ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m`, 'skein-faults', directory]
  execFileSync('mount', words, { stdio: 'pipe' })
}
