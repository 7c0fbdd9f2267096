// What a fault happens to: three storage peers, each a process, R = W = 2, and a load whose receipts are
// written down here. A fault opens one, does its harm, waits until all is whole, and asks for the outcome.
//
//   await using rig = await Rig.open(options)
//   await rig.load.ackedMore(200)
//   await rig.kill(rig.store(1))
//   …
//   await rig.whole(sinceMs)
//   return await rig.outcome('what happened', runs)
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../../mesh/conformance/eventually.ts'
import { SeededRandom, systemClock, type StoreId } from '../../mesh/index.ts'
import type { LaneDigest } from '../../storage/coverage.ts'
import type { Coverage, StorageError } from '../../storage/index.ts'
import { ownedShards, TestMesh } from '../harness/mesh.ts'
import { ZEROMQ } from '../harness/network.ts'
import type { StoragePeer } from '../harness/storage-peer.ts'
import { framesWrittenTwice } from './disk-contents.ts'
import { DiskShim } from './disk-shim.ts'
import { PLANTS, type FaultOptions, type FaultOutcome } from './fault.ts'
import type { Verdict } from './ledger.ts'
import { Load, type LoadOptions } from './load.ts'

export interface RigOptions {
  readonly load?: Partial<LoadOptions>
  /** As `--set`, for all processes. */
  readonly settings?: readonly string[]
  /** Of Node.js, for the stores. */
  readonly nodeFlags?: readonly string[]
  /** Before a store is started the first time. */
  readonly prepare?: (store: StoragePeer, rig: Rig) => void
}

const MIB = 1024 * 1024
/** Node.js and its packages take 200 MiB; the rest is bounded queues. */
const STORE_RSS_MAX = 512 * MIB
const STORES = 3
const FRAMES_AGAIN = 50
/** Looking costs what the stores could work with. */
const LOOK_MS = 200
const LOAD: Omit<LoadOptions, 'seed'> = {
  sources: 20,
  streams: 1,
  samplesPerSecond: 250,
  textBytes: 0,
}
/** Two busy cores. A store with a planted bug is not waited for so long. */
const PATIENCE_MS = 60_000
const PLANTED_PATIENCE_MS = 12_000

export class Rig implements AsyncDisposable {
  readonly mesh: TestMesh
  readonly random: SeededRandom
  load!: Load
  /** Stores whose disks are gone: they stay members, and nobody has what they had. */
  readonly gone = new Set<StoreId>()
  /** Stores whose disks were spoiled: they must have what they own again, not what they stood in for. */
  readonly damaged = new Set<StoreId>()
  patienceMs: number
  private readonly storeIds = new Map<StoragePeer, StoreId>()
  /** All that ever were. */
  private readonly known = new Set<StoreId>()
  private readonly shims = new Map<StoragePeer, DiskShim>()
  private readonly ends: (() => void)[] = []
  private readonly verdict = { lost: 0, wrong: 0, repeated: 0 }
  private completeMs = 0
  private passedUs = 0
  private rssBytes = 0

  private constructor(
    { seed, plant }: FaultOptions,
    { settings = [], nodeFlags = [] }: RigOptions,
  ) {
    this.mesh = new TestMesh({ ...ZEROMQ, settings })
    this.random = new SeededRandom(seed)
    this.patienceMs = plant === undefined ? PATIENCE_MS : PLANTED_PATIENCE_MS
    const bug = plant === undefined ? [] : ['--import', join(import.meta.dirname, PLANTS[plant])]
    this.mesh.storeFlags = [...nodeFlags, ...bug]
  }

  /** Resolves when all stores are members and the first samples are acknowledged. */
  static async open(options: FaultOptions, rigOptions: RigOptions = {}): Promise<Rig> {
    const { load, prepare } = rigOptions
    const rig = new Rig(options, rigOptions)
    try {
      await rig.startStores(prepare)
      rig.load = await Load.open(rig.mesh, { ...LOAD, ...load, seed: options.seed })
      await rig.load.ackedMore(100)
      return rig
    } catch (error) {
      await rig[Symbol.asyncDispose]()
      throw error
    }
  }

  /** From 0. */
  store(index: number): StoragePeer {
    return this.mesh.stores[index]!
  }

  pick(): StoragePeer {
    return this.store(Math.floor(this.random.next() * STORES))
  }

  others(store: StoragePeer): StoragePeer[] {
    return this.mesh.stores.filter((other) => other !== store)
  }

  /** As it was when the store was started first: for when nobody can be asked. */
  storeIdOf(store: StoragePeer): StoreId {
    return this.storeIds.get(store)!
  }

  /** The shim of a store, which has it from its next start on. */
  shim(store: StoragePeer): DiskShim {
    let shim = this.shims.get(store)
    if (shim === undefined) {
      shim = new DiskShim(join(this.mesh.root, `${store.name}.shim`))
      this.shims.set(store, shim)
      store.env = { ...store.env, ...shim.env }
    }
    return shim
  }

  /** kill -9. */
  async kill(store: StoragePeer): Promise<void> {
    this.noteMemory(store)
    await store.kill()
  }

  /** Begins of the buckets on the disk of a store, ms since the Unix epoch. */
  bucketTimes({ directory }: StoragePeer): number[] {
    const names = readdirSync(join(directory, 'buckets', 'default'))
    return names.map(Number).filter(Number.isFinite)
  }

  /** A clean stop. */
  async stop(store: StoragePeer): Promise<void> {
    this.noteMemory(store)
    const code = await store.process.stop()
    if (code !== 0) throw new Error(`${store.name} ended with ${code}\n${store.process.said}`)
  }

  /** It has another disk now. */
  async noteStoreId(store: StoragePeer): Promise<void> {
    const id = await store.storeId()
    this.storeIds.set(store, id)
    this.known.add(id)
  }

  /** Has a store read every frame that it says it holds, as a scrub does. */
  async readAll(store: StoragePeer): Promise<void> {
    const { lanes } = await store.digest()
    const wanted = lanes.map(({ source, stream, epoch, held }) => ({
      source,
      stream,
      epoch,
      runs: held,
    }))
    await store.readFrames(wanted)
  }

  /** So much more time has passed, for the stores, which all need their shims, and for the load. */
  passTime(us: number): void {
    this.passedUs += us
    for (const store of this.mesh.stores) this.shim(store).passTime(this.passedUs)
    this.load.passTime(this.passedUs)
  }

  /** Passes time until a bucket of that length begins: then none ends while nothing jumps. */
  async passToBucket(bucketUs: number): Promise<void> {
    await this.load.stop()
    this.passTime(bucketUs - (systemClock.nowUs() % bucketUs))
    this.load.start()
  }

  /** A store is who it was, and knows of no store that never was. */
  async expectKnownStores(store: StoragePeer): Promise<void> {
    const { storeId, members } = await store.digest({ sources: ['-'] })
    if (storeId !== this.storeIdOf(store)) {
      throw new Error(`${store.name} was ${this.storeIdOf(store)} and is ${storeId} now`)
    }
    const strange = members.filter((member) => !this.known.has(member.storeId))
    if (strange.length > 0) {
      throw new Error(
        `${store.name} knows ${strange.map((each) => each.storeId).join()}: never seen`,
      )
    }
  }

  /** As an operator does who knows that these disks will not come back. */
  async removeGone(): Promise<void> {
    const through = this.store(0)
    for (const id of this.gone) {
      const { code, stderr } = await this.mesh.skein(['peers', 'remove', id])
      if (code !== 0) throw new Error(`${id} could not be removed: ${stderr}`)
      await eventually(
        async () => {
          const { members } = await through.digest({ sources: ['-'] })
          return members.every(({ storeId, state }) => storeId !== id || state === 'removed')
        },
        { what: `${id} is removed`, deadlineMs: this.patienceMs, everyMs: 50 },
      )
      this.gone.delete(id)
    }
  }

  /** To be undone when no process is left, whatever came before. */
  atEnd(undo: () => void): void {
    this.ends.push(undo)
  }

  /** Resolves when it has acknowledged some more frames. */
  async acknowledges(store: StoragePeer): Promise<void> {
    const { ledger } = this.load
    const id = this.storeIdOf(store)
    const before = ledger.framesOf(id)
    await eventually(() => ledger.framesOf(id) >= before + FRAMES_AGAIN, {
      what: `${store.name} acknowledges frames again`,
      deadlineMs: this.patienceMs,
      everyMs: 20,
    })
  }

  /** A time of the fault's own choice, ms: as long as nothing else happens. */
  async letPass(ms: number): Promise<void> {
    await new Promise<void>((resolve) => systemClock.startTimer(ms, resolve))
  }

  /** Resolves when the store counts, and an answer asked for through it is complete. */
  async counted(store: StoragePeer, sinceMs: number): Promise<void> {
    await store.caughtUp(this.patienceMs)
    await this.askUntilComplete(store)
    this.noteComplete(sinceMs)
  }

  /** Resolves when all stores have all that they own, and answers are complete. */
  async whole(sinceMs: number): Promise<void> {
    for (const store of this.mesh.stores) await store.caughtUp(this.patienceMs)
    await this.askUntilComplete(this.store(0))
    this.noteComplete(sinceMs)
    await this.ownersHaveAll()
  }

  /** Resolves when an answer asked for through the store is complete. @throws Error when it lacks something. */
  async expectComplete(through: StoragePeer): Promise<void> {
    await this.askUntilComplete(through)
    const { lost } = this.verdict
    if (lost > 0) throw new Error(`${lost} samples are missing from a complete answer`)
  }

  /** While too few stores are there, an answer must say that it is not complete, and why. */
  async expectIncomplete(through: StoragePeer): Promise<void> {
    const { complete, reasons } = await this.ask(through)
    if (complete) throw new Error('an answer of too few stores calls itself complete')
    if (reasons.length === 0) throw new Error('an incomplete answer does not say why')
  }

  /** What is on the disk of a store that is down: all that it ever acknowledged, whoever else has it. */
  expectKept(store: StoragePeer, lanes: readonly LaneDigest[]): void {
    const lost = this.load.ledger.broken(this.storeIdOf(store), lanes)
    if (lost > 0) throw new Error(`${store.name} acknowledged ${lost} frames that its disk lacks`)
  }

  /** Ends the load, holds all that was promised against what is there, and sums up. */
  async outcome(happened: string, runs: number): Promise<FaultOutcome> {
    await this.load.stop()
    await this.ownersHaveAll()
    for (const store of this.mesh.stores) await this.askUntilComplete(store)
    for (const store of this.mesh.stores) {
      const { storeId, lanes } = await store.digest()
      if (this.damaged.has(storeId)) continue
      this.verdict.lost += this.load.ledger.broken(storeId, lanes)
    }
    for (const store of this.mesh.stores) {
      await this.stop(store)
      this.verdict.repeated += await framesWrittenTwice(store.directory)
    }
    const { frames, samples } = this.load.ledger
    const { completeMs, rssBytes } = this
    const memory = { rssBytes, rssMaxBytes: STORE_RSS_MAX }
    return { happened, runs, frames, samples, ...this.verdict, completeMs, ...memory }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.load?.[Symbol.asyncDispose]()
    await Promise.all(this.mesh.stores.map((store) => store.end()))
    for (const end of this.ends) end()
    await this.mesh.close()
  }

  private async startStores(prepare: RigOptions['prepare']): Promise<void> {
    const endpoints = await this.mesh.endpoints(STORES)
    for (const endpoint of endpoints) {
      const store = this.mesh.addStore(endpoint, [endpoints[0]!])
      prepare?.(store, this)
    }
    await this.store(0).start()
    await Promise.all(this.mesh.stores.slice(1).map((store) => store.start()))
    await this.mesh.joined()
    for (const store of this.mesh.stores) await this.noteStoreId(store)
  }

  private async askUntilComplete(through: StoragePeer): Promise<void> {
    let reasons: readonly string[] = []
    await eventually(
      async () => {
        const coverage = await this.ask(through)
        ;({ reasons } = coverage)
        return coverage.complete
      },
      { what: 'an answer is complete', deadlineMs: this.patienceMs, everyMs: LOOK_MS },
    ).catch((error: Error) => {
      throw new Error(`${error.message}: ${reasons.join('; ')}`, { cause: error })
    })
  }

  /** Asks for everything; what a complete answer lacks of what was acknowledged before is lost. */
  private async ask(through: StoragePeer): Promise<Pick<Coverage, 'complete' | 'reasons'>> {
    let complete = true
    const reasons: string[] = []
    for (const stream of this.load.streams) {
      const promised = this.load.ledger.mark()
      try {
        const { rows, coverage } = await this.mesh.ask({ kind: 'range', stream }, [
          through.endpoint,
        ])
        const verdict = this.load.ledger.verdict(stream, rows, promised)
        this.add({ ...verdict, lost: coverage.complete ? verdict.lost : 0 })
        complete &&= coverage.complete
        reasons.push(...coverage.reasons)
      } catch (error) {
        // A store that has just come back may not have been heard yet.
        if ((error as StorageError).code !== 'QUERY_NO_PEER') throw error
        complete = false
        reasons.push((error as Error).message)
      }
    }
    return { complete, reasons }
  }

  private async ownersHaveAll(): Promise<void> {
    const { stores } = this.mesh
    const ids = await Promise.all(stores.map((store) => store.storeId()))
    const members = [...ids, ...this.gone]
    let lacking: number[] = []
    await eventually(
      async () => {
        lacking = await Promise.all(
          stores.map(async (store) => {
            const digest = await store.digest()
            return this.load.ledger.lacking(digest, ownedShards(digest.storeId, members))
          }),
        )
        return lacking.every((frames) => frames === 0)
      },
      { what: 'all owners hold what they own', deadlineMs: this.patienceMs, everyMs: LOOK_MS },
    ).catch((error: Error) => {
      throw new Error(`${error.message}; frames lacking: ${lacking.join()}`, { cause: error })
    })
  }

  private add({ lost, wrong, repeated }: Verdict): void {
    this.verdict.lost += lost
    this.verdict.wrong += wrong
    this.verdict.repeated += repeated
  }

  private noteComplete(sinceMs: number): void {
    this.completeMs = Math.max(this.completeMs, systemClock.monotonicMs() - sinceMs)
  }

  private noteMemory(store: StoragePeer): void {
    this.rssBytes = Math.max(this.rssBytes, store.process.rssMaxBytes ?? 0)
  }
}
