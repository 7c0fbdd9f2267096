// What was promised against what is there: receipts on one side, the rows of a query or the digest of
// a store on the other.
import { IntervalSet, laneKey, shardOf, type StoreId } from '../../mesh/index.ts'
import type { Row } from '../../storage/index.ts'
import type { ReceiptMessage } from './fleet.ts'
import { ownedShards } from './mesh.ts'
import type { StoragePeer } from './storage-peer.ts'

/** Frames that were acknowledged and are not in the rows with exactly their samples. */
export function missingFrames(
  receipts: readonly ReceiptMessage[],
  rows: readonly Row[],
): ReceiptMessage[] {
  const times = new Map<string, number[]>()
  for (const row of rows) {
    const known = times.get(frameName(row))
    if (known === undefined) times.set(frameName(row), [row.timeUs])
    else known.push(row.timeUs)
  }
  const inOrder = (numbers: readonly number[]): string => numbers.toSorted((a, b) => a - b).join()
  return receipts.filter((receipt) => {
    const found = times.get(frameName(receipt))
    return found === undefined || inOrder(found) !== inOrder(receipt.timesUs)
  })
}

/** Samples that are in the rows more than once: every sample of a vehicle has a time of its own. */
export function repeatedSamples(rows: readonly Row[]): string[] {
  const seen = new Set<string>()
  const repeated: string[] = []
  for (const { source, timeUs } of rows) {
    const name = `${source} ${timeUs}`
    if (seen.has(name)) repeated.push(name)
    seen.add(name)
  }
  return repeated
}

/** Acknowledged frames of the shards a store owns that its own digest does not name. */
export async function lackingFrames(
  store: StoragePeer,
  members: readonly StoreId[],
  receipts: readonly ReceiptMessage[],
  stream: string,
): Promise<number> {
  const { storeId, lanes } = await store.digest()
  const shards = ownedShards(storeId, members)
  const held = new Map(
    lanes.map((lane) => [
      laneKey(lane.source, lane.stream, lane.epoch),
      new IntervalSet(lane.held),
    ]),
  )
  return receipts.filter(({ source, epoch, sequence }) => {
    if (!shards.has(shardOf(source))) return false
    return held.get(laneKey(source, stream, epoch))?.has(sequence) !== true
  }).length
}

function frameName({
  source,
  epoch,
  sequence,
}: Pick<Row, 'source' | 'epoch' | 'sequence'>): string {
  return `${source} ${epoch} ${sequence}`
}
