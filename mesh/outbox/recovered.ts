// What a log held when it was opened: the publisher sends the frames again under their old names, and
// seals the samples under its new epoch into the same log.
import { MeshError } from '../errors.ts'
import { type Frame, openFrame } from '../frame.ts'
import type { Sample } from '../sample.ts'
import type { RecoveredLane } from './lanes.ts'
import type { LiveSet } from './live.ts'

declare const brand: unique symbol
/** Which sealed frame of this log: counted from 1 in the order of seals, the same in every life. */
export type FramePosition = number & { readonly [brand]: 'FramePosition' }

export interface RecoveredFrame {
  readonly position: FramePosition
  /** Of the frame. */
  readonly size: number
  /** The header is in memory; `bytes` and `body` are read from disk each time they are asked for. */
  readonly frame: Frame
}

export interface RecoveredSample {
  readonly ordinal: number
  readonly stream: string
  readonly source: string
  readonly sample: Sample
}

export interface Recovered {
  /** Sealed and not done, in the order of their seals. */
  readonly frames: readonly RecoveredFrame[]
  /** Accepted and in no seal, in the order of acceptance. */
  readonly samples: readonly RecoveredSample[]
  /** Every lane of `frames`, and every other one ever sealed in that is not known to have its end. */
  readonly lanes: readonly RecoveredLane[]
  /** Bytes cut from the end: a write that was under way when the last life ended. */
  readonly tornBytes: number
  /** Places where bytes are damaged although something valid follows; each held a record or more. */
  readonly damagedRecords: number
}

export const NOTHING_RECOVERED: Recovered = {
  frames: [],
  samples: [],
  lanes: [],
  tornBytes: 0,
  damagedRecords: 0,
}

/** Reads what is live. A record that cannot be read any more is damaged, and no longer live. */
export function readRecovered(live: LiveSet, tornBytes: number, damaged: number): Recovered {
  const interned = new Map<string, string>()
  const frames: RecoveredFrame[] = []
  const samples: RecoveredSample[] = []
  let damagedRecords = damaged
  for (const id of live.frames.keys()) {
    try {
      const frame = openFrame(live.readSeal(id).frame)
      frames.push({
        position: id as FramePosition,
        size: frame.bytes.length,
        frame: new FrameOnDisk(frame, id, live, interned),
      })
    } catch (error) {
      damagedRecords += isDamage(error)
      live.takeFrame(id)
    }
  }
  for (const id of live.samples.keys()) {
    try {
      samples.push(live.readSample(id))
    } catch (error) {
      damagedRecords += isDamage(error)
      live.takeSample(id)
    }
  }
  return { frames, samples, lanes: live.lanes.list(), tornBytes, damagedRecords }
}

/** 1, or throws what is no damage. */
function isDamage(error: unknown): number {
  if (error instanceof MeshError) return 1
  throw error
}

/** A frame whose bytes stay on disk: a backlog may be larger than memory. */
class FrameOnDisk implements Frame {
  readonly kind: Frame['kind']
  readonly codec: Frame['codec']
  readonly source: string
  readonly stream: string
  readonly epoch: Frame['epoch']
  readonly sequence: number
  readonly firstUs: number
  readonly lastUs: number
  readonly count: number
  readonly schemaId: Frame['schemaId']
  readonly laneKey: Frame['laneKey']
  readonly crc: number
  private readonly position: number
  private readonly live: LiveSet
  private readonly bodyBytes: number

  /** `interned` holds the strings of all headers once, for there are few lanes and many frames. */
  constructor(frame: Frame, position: number, live: LiveSet, interned: Map<string, string>) {
    this.kind = frame.kind
    this.codec = frame.codec
    this.source = intern(interned, frame.source)
    this.stream = intern(interned, frame.stream)
    this.epoch = intern(interned, frame.epoch)
    this.sequence = frame.sequence
    this.firstUs = frame.firstUs
    this.lastUs = frame.lastUs
    this.count = frame.count
    this.schemaId = intern(interned, frame.schemaId)
    this.laneKey = intern(interned, frame.laneKey)
    this.crc = frame.crc
    this.position = position
    this.live = live
    this.bodyBytes = frame.body.length
  }

  /** @throws RangeError when the frame is done. @throws MeshError MESH_OUTBOX_DAMAGED */
  get bytes(): Buffer {
    return this.live.readSeal(this.position).frame
  }

  get body(): Buffer {
    const { bytes } = this
    return bytes.subarray(bytes.length - this.bodyBytes)
  }
}

function intern<T extends string>(interned: Map<string, string>, text: T): T {
  const known = interned.get(text)
  if (known !== undefined) return known as T
  interned.set(text, text)
  return text
}
