// What says that a frame put together from columns is the frame that was taken apart. A change of the
// encoder could make other bytes of the same samples, with a CRC as good as the first; so the
// originals' CRCs are kept. 4 bytes for each frame of one sample would be two thirds of what the sample
// takes itself, so small frames share a check, and are put together in order to check one of them.
//
//   frames of 128  | 1 | 2 | 3 |     each its own CRC
//   frames of 1    | 1 … 64 | 65 … 128 | 129 … |    CRC-32 of their CRCs
import { crc32 } from 'node:zlib'

/** A check covers frames until they have this many samples. */
const CHECK_SAMPLES = 64

/** Frames kept as columns, numbered from 0 in the order of their sequences: [from, to). */
export interface CheckGroup {
  readonly from: number
  readonly to: number
}

/** Which frames share a check, by their sample counts. */
export function checkGroups(counts: readonly number[]): CheckGroup[] {
  const groups: CheckGroup[] = []
  let from = 0
  let samples = 0
  for (let i = 0; i < counts.length; i++) {
    samples += counts[i]!
    if (samples < CHECK_SAMPLES && i + 1 < counts.length) continue
    groups.push({ from, to: i + 1 })
    from = i + 1
    samples = 0
  }
  return groups
}

/** The CRC-32 of a single frame itself; of several, of their CRC-32s as `u32` one after another. */
export function checkOf(crcs: readonly number[]): number {
  if (crcs.length === 1) return crcs[0]!
  const bytes = Buffer.alloc(crcs.length * 4)
  for (const [i, crc] of crcs.entries()) bytes.writeUInt32LE(crc, i * 4)
  return crc32(bytes)
}
