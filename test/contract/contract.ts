// One run of the whole pipeline on one transport: publishers, three storage peers, a live subscriber and
// queries, and the checks that the contract (docs/delivery.md) must pass after whatever happened to it.
import { expect } from 'vitest'
import { eventually } from '../../mesh/conformance/eventually.ts'
import { IntervalSet, laneKey, type LaneKey, type StoreId } from '../../mesh/index.ts'
import { FLEET_STREAM } from '../../sim/index.ts'
import type { Row, StorageError } from '../../storage/index.ts'
import { lackingFrames, missingFrames, repeatedSamples } from '../harness/compare.ts'
import { Fleet, type FleetOptions, type ReceiptMessage } from '../harness/fleet.ts'
import { Live } from '../harness/live.ts'
import type { Asked, TestMesh } from '../harness/mesh.ts'
import type { Runner } from '../harness/program.ts'

const MIB = 1024 * 1024
/** What a process may use: Node.js and its packages take 200 MiB, the rest are bounded queues. */
export const STORE_RSS_MAX = 512 * MIB
export const PUBLISHER_RSS_MAX = 512 * MIB
/** Everything published is acknowledged, on two busy cores, after the worst of faults. */
const SETTLE_MS = 60_000

export const VEHICLES = 30
export const RATE = 4

export class Contract {
  readonly mesh: TestMesh
  readonly fleets: Fleet[] = []
  live!: Live
  /** Stores whose disks are gone: what receipts say of them cannot be looked up. */
  readonly gone = new Set<StoreId>()
  /** A fault that lets a slow reader miss frames; it must be told of them then. */
  mayMissLive = false
  /** How long owners may take to have all that is theirs. */
  repairMs = SETTLE_MS
  /** Samples that an earlier life of the first fleet left in its outbox. */
  earlier = 0

  constructor(mesh: TestMesh) {
    this.mesh = mesh
  }

  /** Three stores, a live subscriber and a fleet whose samples are acknowledged. */
  async start(options: Partial<FleetOptions> = {}): Promise<void> {
    await this.mesh.startStores(3)
    await this.startClients(options)
  }

  async startClients(options: Partial<FleetOptions> = {}): Promise<void> {
    this.live = new Live(this.mesh, FLEET_STREAM)
    await this.live.program.ready
    await this.addFleet(options)
    await this.live.gotMore(1)
  }

  async addFleet(options: Partial<FleetOptions> = {}): Promise<Fleet> {
    const name = `fleet${this.fleets.length + 1}`
    const fleet = new Fleet(this.mesh, {
      vehicles: VEHICLES,
      samplesPerSecond: RATE,
      name,
      ...options,
    })
    this.fleets.push(fleet)
    await fleet.program.ready
    await fleet.ackedMore(VEHICLES, SETTLE_MS)
    return fleet
  }

  get fleet(): Fleet {
    return this.fleets[0]!
  }

  get receipts(): ReceiptMessage[] {
    // Of frames that an earlier life left, nobody remembers the samples.
    return this.fleets
      .flatMap(({ receipts }) => receipts)
      .filter(({ timesUs }) => timesUs.length > 0)
  }

  /** Samples that publish() has taken, all fleets. */
  get published(): number {
    return this.fleets.reduce((sum, { status }) => sum + status.published, this.earlier)
  }

  /** A few seconds of undisturbed life: so many samples acknowledged. */
  readonly goOn = async (samples = 2 * VEHICLES * RATE): Promise<void> => {
    await this.fleet.ackedMore(samples, SETTLE_MS)
  }

  /** Ends the publishers and holds everything that is there against everything that was promised. */
  async check(): Promise<void> {
    const rss = this.memory()
    await Promise.all(this.fleets.map((fleet) => fleet.stop()))
    for (const { status } of this.fleets) {
      expect(status).toMatchObject({ refused: 0, pendingSamples: 0 })
    }
    expect(this.fleets.reduce((sum, { status }) => sum + status.stored, 0)).toBe(this.published)
    const { rows } = await this.complete()
    expect(rows).toHaveLength(this.published)
    expect(repeatedSamples(rows)).toEqual([])
    expect(missingFrames(this.receipts, rows)).toEqual([])
    expect(disorders(rows)).toEqual([])
    await this.ownersHaveAll()
    expect(await this.brokenReceipts()).toEqual([])
    expect(await this.writtenTwice()).toEqual([])
    await this.checkLive()
    for (const [name, bytes, most] of rss) expect(bytes, `memory of ${name}`).toBeLessThan(most)
  }

  /** Asks, as somebody who has just come, until the answer is complete. */
  async complete(): Promise<Asked<Row>> {
    let last: Asked<Row> | undefined
    const query = { kind: 'range', stream: FLEET_STREAM, fields: ['speed'] }
    return await eventually(
      async () => {
        try {
          last = await this.mesh.ask(query)
        } catch (error) {
          // Stores on a busy machine may not have been heard yet.
          if ((error as StorageError).code === 'QUERY_NO_PEER') return false
          throw error
        }
        return last.coverage.complete && last
      },
      { what: 'an answer is complete', deadlineMs: SETTLE_MS, everyMs: 100 },
    ).catch((error: Error) => {
      throw new Error(`${error.message}: ${last?.coverage.reasons.join('; ')}`, { cause: error })
    })
  }

  /** Whatever happened to a store, repair brings it what it owns. */
  private async ownersHaveAll(): Promise<void> {
    const { stores } = this.mesh
    const ids = await Promise.all(stores.map((store) => store.storeId()))
    const members = [...ids, ...this.gone]
    let lacking: number[] = []
    await eventually(
      async () => {
        lacking = await Promise.all(
          stores.map((store) => lackingFrames(store, members, this.receipts, FLEET_STREAM)),
        )
        return lacking.every((frames) => frames === 0)
      },
      { what: 'all owners to hold what they own', deadlineMs: this.repairMs, everyMs: 200 },
    ).catch((error: Error) => {
      throw new Error(`${error.message}; frames lacking: ${lacking.join()}`, { cause: error })
    })
  }

  /** Receipts that name fewer than two disks, or a disk that does not hold the frame. */
  private async brokenReceipts(): Promise<string[]> {
    const held = new Map<StoreId, ReadonlyMap<LaneKey, IntervalSet>>()
    for (const store of this.mesh.stores) {
      const { storeId, lanes } = await store.digest()
      const sets = lanes.map(({ source, stream, epoch, held }): [LaneKey, IntervalSet] => [
        laneKey(source, stream, epoch),
        new IntervalSet(held),
      ])
      held.set(storeId, new Map(sets))
    }
    return this.receipts.flatMap(({ source, epoch, sequence, stores }) => {
      const lane = laneKey(source, FLEET_STREAM, epoch)
      const name = `${source} ${epoch} ${sequence}`
      if (new Set(stores).size < 2) return `${name}: on ${stores.join() || 'no store'} only`
      const lacking = stores.filter(
        (storeId) =>
          !this.gone.has(storeId) && held.get(storeId)?.get(lane)?.has(sequence) !== true,
      )
      return lacking.length === 0 ? [] : `${name}: not on ${lacking.join()}`
    })
  }

  /** Stores that wrote more frames than there are names on their disks. */
  private async writtenTwice(): Promise<string[]> {
    const stores = await Promise.all(
      this.mesh.stores.map(async (store) => {
        const written = await store.metric('skein_store_frames_total')
        const { lanes } = await store.digest()
        const held = lanes.reduce((sum, lane) => sum + new IntervalSet(lane.held).size, 0)
        return { name: store.name, written, held }
      }),
    )
    return stores.flatMap(({ name, written, held }) =>
      written > held ? `${name} wrote ${written} frames and holds ${held}` : [],
    )
  }

  private async checkLive(): Promise<void> {
    const { live } = this
    if (!this.mayMissLive) {
      // What is under way arrives; what was lost on the way is told of when the next frame comes.
      await eventually(() => live.silentlyMissing().length === 0, {
        what: 'all live frames',
      }).catch(() => undefined)
    }
    await live.stop()
    expect(live.wrong).toEqual([])
    expect(live.silentlyMissing()).toEqual([])
    expect(live.samples).toBeGreaterThan(0)
  }

  private memory(): [name: string, bytes: number, most: number][] {
    const used = (
      name: string,
      { rssMaxBytes }: Runner,
      most: number,
    ): [string, number, number][] => (rssMaxBytes === undefined ? [] : [[name, rssMaxBytes, most]])
    return [
      ...this.mesh.stores.flatMap(({ name, process }) => used(name, process, STORE_RSS_MAX)),
      ...this.fleets.flatMap(({ program }) => used('a publisher', program, PUBLISHER_RSS_MAX)),
    ]
  }
}

/** Within a source and epoch, sequences have no hole and times do not run backwards. */
function disorders(rows: readonly Row[]): string[] {
  const lanes = new Map<string, Row[]>()
  for (const row of rows) {
    const name = `${row.source} ${row.epoch}`
    const lane = lanes.get(name)
    if (lane === undefined) lanes.set(name, [row])
    else lane.push(row)
  }
  return [...lanes].flatMap(([name, lane]) => {
    const sorted = lane.toSorted((a, b) => a.sequence - b.sequence || a.timeUs - b.timeUs)
    const runs = new IntervalSet()
    for (const { sequence } of sorted) runs.add(sequence)
    if (runs.runCount > 1) return `${name} has holes: ${runs.toRuns().join()}`
    const back = sorted.findIndex((row, i) => i > 0 && row.timeUs < sorted[i - 1]!.timeUs)
    return back < 0 ? [] : `${name} runs backwards at ${sorted[back]!.sequence}`
  })
}
