// One flipped bit in a file of a store that is down, for each kind of file. The store has to notice: what the
// bit cost is fetched from the others, or it refuses to start and says why; then its disk is taken for lost.
import { readFileSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { systemClock } from '../../mesh/index.ts'
import type { StoragePeer } from '../harness/storage-peer.ts'
import { filesOf } from './disk-contents.ts'
import type { Fault } from './fault.ts'
import { Rig } from './rig.ts'

export interface FileKind {
  readonly kind: string
  /** Of the path. */
  readonly pattern: RegExp
  /** How the store ends before: a clean stop leaves an index, kill -9 a segment that must be read. */
  readonly end: 'kill' | 'stop'
  /** The part of the file that is hit; any when absent. */
  readonly within?: RegExp
}

const DATA: readonly FileKind[] = [
  { kind: 'segment, after kill -9', pattern: /\.seg$/, end: 'kill' },
  { kind: 'segment, after a clean stop', pattern: /\.seg$/, end: 'stop' },
  { kind: 'index table', pattern: /default\/\d+\/index\/.*\.ldb$/, end: 'stop' },
  { kind: 'index log', pattern: /default\/\d+\/index\/.*\.log$/, end: 'stop' },
  { kind: 'index manifest', pattern: /default\/\d+\/index\/MANIFEST/, end: 'stop' },
]

const FACTS: readonly FileKind[] = [
  { kind: 'members.json', pattern: /members\.json$/, end: 'stop' },
  { kind: 'an id in members.json', pattern: /members\.json$/, end: 'stop', within: /[0-9a-f]{16}/ },
  { kind: 'the id in store.json', pattern: /store\.json$/, end: 'stop', within: /[0-9a-f]{16}/ },
  { kind: 'lock', pattern: /s\d\/lock\/MANIFEST/, end: 'stop' },
  { kind: 'schema', pattern: /schemas\/.*\.json$/, end: 'stop' },
]

export const bitFlip = bitFlipIn('bit-flip', 'files of data and index', DATA)
export const bitFlipFacts = bitFlipIn('bit-flip-facts', 'files of facts', FACTS)

function bitFlipIn(name: string, what: string, kinds: readonly FileKind[]): Fault {
  return {
    name,
    title: `a flipped bit in ${what}: ${kinds.map(({ kind }) => kind).join(', ')}`,
    plants: ['no-repair'],
    runs: kinds.length,
    run: async (options) => {
      await using rig = await Rig.open(options)
      const told: string[] = []
      for (let n = 0; n < options.runs; n++) {
        told.push(await flipIn(rig, kinds[n % kinds.length]!))
      }
      return await rig.outcome(told.join('; '), options.runs)
    },
  }
}

/** Returns what was done and how the store took it. */
export async function flipIn(rig: Rig, fileKind: FileKind): Promise<string> {
  const { load } = rig
  const { kind, pattern, end } = fileKind
  // Not the founder, which would begin another mesh when it is wiped.
  const victim = rig.store(1 + Math.floor(rig.random.next() * 2))
  await load.ackedMore(200)
  if (end === 'kill') await rig.kill(victim)
  else await stopTwice(rig, victim)
  const flipped = flipOneBit(rig, filesOf(victim.directory, pattern), fileKind)
  rig.damaged.add(rig.storeIdOf(victim))
  await load.ackedMore(50)
  const backMs = systemClock.monotonicMs()
  const refusal = await victim.start().then(
    () => undefined,
    (error: Error) => reasonOf(error, kind),
  )
  if (refusal !== undefined) {
    rig.gone.add(rig.storeIdOf(victim))
    victim.wipe()
    await victim.start()
    await rig.noteStoreId(victim)
  }
  await rig.mesh.joined()
  await rig.expectKnownStores(victim)
  await rig.readAll(victim)
  await rig.whole(backMs)
  await rig.removeGone()
  return `${kind} (${flipped}): ${refusal === undefined ? 'made good' : `refused, ${refusal}`}`
}

/** A store that will not start says which of its own faults it is. */
function reasonOf({ message }: Error, kind: string): string {
  const reason = /STORE_\w+/.exec(message)?.[0]
  if (reason === undefined) throw new Error(`${kind}: it does not start, nor say why: ${message}`)
  return reason
}

/** The second time LevelDB has made tables of its log. */
async function stopTwice(rig: Rig, store: StoragePeer): Promise<void> {
  await rig.stop(store)
  await store.start()
  await rig.mesh.joined()
  await rig.load.ackedMore(50)
  await rig.stop(store)
}

function flipOneBit(
  { random }: Rig,
  files: readonly string[],
  { kind, within = /^[^]*$/ }: FileKind,
): string {
  const filled = files.filter((file) => readFileSync(file).length > 0)
  const file = filled[Math.floor(random.next() * filled.length)]
  if (file === undefined) throw new Error(`there is no file to flip a bit in: ${kind}`)
  const bytes = readFileSync(file)
  const part = within.exec(bytes.toString('latin1'))
  if (part === null) throw new Error(`nothing in ${file} to flip a bit in: ${kind}`)
  const at = part.index + Math.floor(random.next() * part[0].length)
  bytes[at]! ^= 1 << Math.floor(random.next() * 8)
  writeFileSync(file, bytes)
  return `${basename(file)} byte ${at} of ${bytes.length}`
}
