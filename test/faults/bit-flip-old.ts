// One flipped bit in what a store has of times gone by: blocks of buckets that are over, and the record of what
// retention removed. Hours pass for all processes first, so that there is some of both.
import { flipIn, type FileKind } from './bit-flip.ts'
import { eventually } from '../../mesh/conformance/eventually.ts'
import { DiskShim } from './disk-shim.ts'
import type { StoragePeer } from '../harness/storage-peer.ts'
import { filesOf } from './disk-contents.ts'
import type { Fault, FaultOptions, FaultOutcome } from './fault.ts'
import { Rig } from './rig.ts'

const BUCKET_US = 600_000_000
const BUCKETS = 5
/** Of buckets: what is older goes. */
const AGE = 3

/** Log and tables: which of them has something in it changes with each start. */
const GONE = /gone\/.*\.(log|ldb)$/

const FILE_KINDS: readonly FileKind[] = [
  { kind: 'block file', pattern: /\.blk$/, end: 'kill' },
  { kind: 'record of what is gone, after kill -9', pattern: GONE, end: 'kill' },
  { kind: 'record of what is gone, after a clean stop', pattern: GONE, end: 'stop' },
]

export const bitFlipOld: Fault = {
  name: 'bit-flip-old',
  title: `a flipped bit in files of times gone by: ${FILE_KINDS.map(({ kind }) => kind).join(', ')}`,
  plants: ['no-repair'],
  runs: FILE_KINDS.length,
  unavailable: () => DiskShim.unavailable(),
  run,
}

async function run(options: FaultOptions): Promise<FaultOutcome> {
  await using rig = await Rig.open(options, {
    settings: ['storage.bucket=10m', `storage.retention.age=${AGE * 10}m`],
    prepare: (store, its) => its.shim(store),
  })
  const { load } = rig
  await rig.passToBucket(BUCKET_US)
  const marks = [load.ledger.mark()]
  for (let passed = 1; passed <= BUCKETS; passed++) {
    await load.stop()
    rig.passTime(BUCKET_US)
    marks.push(load.ledger.mark())
    load.ledger.mayBeGone = marks[Math.max(0, passed - AGE)]!
    load.start()
    await load.ackedMore(100)
  }
  const hasAll = ({ directory }: StoragePeer): boolean =>
    // One of them may still be about to go.
    filesOf(directory, /\.blk$/).length > 1 && filesOf(directory, GONE).length > 0
  await eventually(() => rig.mesh.stores.every(hasAll), {
    what: 'each store has compacted and removed something',
    deadlineMs: 30_000,
    everyMs: 50,
  })
  const told: string[] = []
  for (let n = 0; n < options.runs; n++) {
    told.push(await flipIn(rig, FILE_KINDS[n % FILE_KINDS.length]!))
  }
  return await rig.outcome(told.join('; '), options.runs)
}
