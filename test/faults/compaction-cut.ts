// A store that ends in the middle of a compaction: by kill -9 or by a power cut, while the new file is being
// written, when it has its name and the segments are still there, and when they are gone. Whatever came of
// it, each frame is there once.
import { readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { eventually } from '../../mesh/conformance/eventually.ts'
import { systemClock } from '../../mesh/index.ts'
import type { StoragePeer } from '../harness/storage-peer.ts'
import { cutPower } from './cut-power.ts'
import { lanesOnDisk } from './disk-contents.ts'
import { DiskShim } from './disk-shim.ts'
import type { Fault, FaultOptions, FaultOutcome } from './fault.ts'
import { Rig } from './rig.ts'

type Stage = 'being written' | 'named' | 'done'

const BUCKET_US = 60_000_000
/** To see it between two steps. */
const SYNC_US = 250_000
const JUMP_AGAIN_MS = 3_000
/** Each once with the power on, once without. */
const ROUNDS: readonly { readonly stage: Stage; readonly isCut: boolean }[] = [
  { stage: 'being written', isCut: false },
  { stage: 'named', isCut: true },
  { stage: 'done', isCut: true },
  { stage: 'being written', isCut: true },
  { stage: 'named', isCut: false },
]

export const compactionCut: Fault = {
  name: 'compaction-cut',
  title: 'kill -9, and a power cut, at each stage of a compaction',
  plants: ['no-block-sync'],
  runs: ROUNDS.length,
  unavailable: () => DiskShim.unavailable(),
  run,
}

async function run(options: FaultOptions): Promise<FaultOutcome> {
  await using rig = await Rig.open(options, {
    settings: [`storage.bucket=${BUCKET_US / 1_000_000}s`],
    prepare: (store, its) => its.shim(store),
  })
  const told: string[] = []
  for (let n = 0; n < options.runs; n++) {
    const { stage, isCut } = ROUNDS[n % ROUNDS.length]!
    const victim = rig.pick()
    await rig.load.ackedMore(200)
    rig.shim(victim).slowSyncs(SYNC_US)
    const file = await reached(rig, victim, stage)
    await rig.kill(victim)
    if (isCut) cutPower(victim.directory, rig.shim(victim).events())
    rig.expectKept(victim, await lanesOnDisk(victim.directory))
    rig.shim(victim).slowSyncs(0)
    told.push(
      `${isCut ? 'power cut' : 'kill -9'} when ${relative(victim.directory, file)} was ${stage}`,
    )
    const backMs = systemClock.monotonicMs()
    await victim.start()
    await rig.mesh.joined()
    await rig.counted(victim, backMs)
  }
  await rig.whole(systemClock.monotonicMs())
  return await rig.outcome(told.join('; '), options.runs)
}

/** Resolves with the file of blocks, when a compaction that was not there before is so far. */
function reached(rig: Rig, victim: StoragePeer, stage: Stage): Promise<string> {
  const before = new Set(blockFiles(victim))
  let jumpMs = -Infinity
  return eventually(
    () => {
      // The bucket is over, and it is time to look; again when something still came to it by repair.
      if (systemClock.monotonicMs() > jumpMs + JUMP_AGAIN_MS) {
        rig.passTime(2 * BUCKET_US)
        jumpMs = systemClock.monotonicMs()
      }
      return blockFiles(victim).find((file) => {
        if (before.has(file)) return false
        if (file.endsWith('.tmp')) return stage === 'being written'
        return stage !== 'being written' && hasSegments(file) === (stage === 'named')
      })
    },
    { what: `a compaction is ${stage}`, deadlineMs: rig.patienceMs, everyMs: 5 },
  )
}

function blockFiles({ directory }: StoragePeer): string[] {
  const buckets = join(directory, 'buckets', 'default')
  return readdirSync(buckets)
    .map((name) => join(buckets, name))
    .flatMap((bucket) => namesIn(bucket).map((name) => join(bucket, name)))
    .filter((file) => /\.blk(\.tmp)?$/.test(file))
}

const hasSegments = (file: string): boolean =>
  namesIn(join(file, '..')).some((name) => name.endsWith('.seg'))

/** None when it is gone by now. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}
