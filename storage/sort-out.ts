// Which frames of a batch are new, which repeat a frame that is held, and which claim a name that
// other bytes have. Redelivery is normal, so this costs nothing for new frames and no reading of
// frames for duplicates: the index knows the CRC-32 of what is held.
import { createHash } from 'node:crypto'
import type { Frame, LaneKey } from '../mesh/index.ts'
import type { StoredFrame, WritableStore } from './frame-store.ts'
import type { UnderWay } from './under-way.ts'

export type Verdict = 'stored' | 'duplicate' | 'conflict' | 'refused'

/** Two different contents under one name, for the log. */
export interface NameConflict {
  readonly heldCrc: number
  readonly offeredCrc: number
  readonly heldSha256: string
  readonly offeredSha256: string
}

export interface SortedOut {
  /** For each frame of the batch; `stored` means: to be stored; `refused`: whether it is new cannot be told. */
  readonly verdicts: Verdict[]
  readonly conflicts: Map<number, NameConflict>
}

/** `underWay` are frames of batches before, which the store does not know of yet. */
export async function sortOut(
  store: WritableStore,
  batch: readonly StoredFrame[],
  underWay: UnderWay,
): Promise<SortedOut> {
  const verdicts: Verdict[] = []
  const conflicts = new Map<number, NameConflict>()
  const repeated = new Map<LaneKey, number[]>()
  const firsts = new FirstInBatch()
  for (const [i, { frame }] of batch.entries()) {
    const known = store.lane(frame.laneKey)
    // Held once, and removed by retention: its publisher, which never heard so, is told that it was.
    const isTrimmed = known?.trimmed.has(frame.sequence) === true
    verdicts.push(isTrimmed ? 'duplicate' : 'stored')
    if (isTrimmed) continue
    if (known?.held.has(frame.sequence) === true) {
      const lane = repeated.get(frame.laneKey)
      if (lane === undefined) repeated.set(frame.laneKey, [i])
      else lane.push(i)
      continue
    }
    const earlier = underWay.find(frame)
    if (earlier !== undefined) {
      verdicts[i] = compare(conflicts, i, earlier, frame)
      continue
    }
    const first = firsts.add(frame, i)
    if (first === i) continue
    verdicts[i] = compare(conflicts, i, batch[first]!.frame, frame)
  }
  for (const [key, indexes] of repeated) {
    const sequences = indexes.map((i) => batch[i]!.frame.sequence)
    const crcs = await store.crcsOf(key, sequences)
    for (const i of indexes) {
      const { frame } = batch[i]!
      if (crcs.get(frame.sequence) === frame.crc) {
        verdicts[i] = 'duplicate'
        continue
      }
      const held = await heldFrame(store, frame)
      // There, and not to be compared just now: who sent it is to ask again.
      if (held === undefined && store.lane(key)?.held.has(frame.sequence) === true) {
        verdicts[i] = 'refused'
        continue
      }
      // What was there cannot be read any more: the frame is welcome again.
      const first = held === undefined ? firsts.add(frame, i) : i
      const other = held ?? (first === i ? undefined : batch[first]!.frame)
      if (other !== undefined) verdicts[i] = compare(conflicts, i, other, frame)
    }
  }
  return { verdicts, conflicts }
}

/** Where each name of the batch occurs first. Most lanes bring their sequences in order. */
class FirstInBatch {
  private readonly lanes = new Map<LaneKey, { last: number; at: Map<number, number> | number }>()

  /** The index of the first frame with this name: `index` itself when it is new. */
  add({ laneKey, sequence }: Frame, index: number): number {
    const lane = this.lanes.get(laneKey)
    if (lane === undefined) {
      this.lanes.set(laneKey, { last: sequence, at: index })
      return index
    }
    // A map only from a lane's second frame on: single-sample frames of many lanes never need one.
    if (typeof lane.at === 'number') lane.at = new Map([[lane.last, lane.at]])
    const first = lane.at.get(sequence)
    if (first !== undefined) return first
    lane.at.set(sequence, index)
    return index
  }
}

function compare(
  conflicts: Map<number, NameConflict>,
  index: number,
  held: Frame,
  offered: Frame,
): Verdict {
  if (held.crc === offered.crc) return 'duplicate'
  conflicts.set(index, {
    heldCrc: held.crc,
    offeredCrc: offered.crc,
    heldSha256: sha256(held.bytes),
    offeredSha256: sha256(offered.bytes),
  })
  return 'conflict'
}

async function heldFrame(store: WritableStore, frame: Frame): Promise<Frame | undefined> {
  const { laneKey, sequence } = frame
  for await (const stored of store.read(laneKey, sequence, sequence)) return stored.frame
  return undefined
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
