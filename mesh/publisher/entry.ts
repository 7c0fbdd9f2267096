// A sealed frame on its way: from the moment it has a name until W stores hold it.
import type { FrameKind } from '../frame.ts'
import type { SchemaId, StoreId } from '../names.ts'
import type { FramePosition } from '../outbox/log.ts'
import type { OutgoingLane } from './lane.ts'
import type { SendQueue } from './send-queue.ts'

export type EntryState = 'pending' | 'done' | 'dropped'

export const isPending = ({ state }: Entry): boolean => state === 'pending'
export const isFinished = ({ state }: Entry): boolean => state !== 'pending'

// One list for all that have nothing in them, and lists just as long as what is in them: there is an
// entry for each frame under way, and a list that grows has room for sixteen more.
const NOBODY: readonly StoreId[] = []
const NOWHERE: readonly SendQueue[] = []

export class Entry {
  readonly lane: OutgoingLane
  readonly sequence: number
  readonly kind: FrameKind
  readonly schemaId: SchemaId
  /** Samples in the frame. */
  readonly count: number
  /** Bytes of the frame. */
  readonly size: number
  /** The frame itself, while it is kept in memory; otherwise it is read back from the outbox log. */
  bytes: Buffer | undefined
  /** Where the outbox log keeps it, with a disk outbox. */
  readonly position: FramePosition | undefined
  /** Event times of its samples, while a receipt is wanted. */
  timesUs: readonly number[] | undefined
  state: EntryState = 'pending'
  /** Its place in line: frames are numbered as they are sealed; one that got a new name keeps its number. */
  number = 0
  /** The sender has been given it: until then it is in nobody's queue. */
  isHanded = false
  /** Stores known to hold it, leaving ones included. */
  heldBy: readonly StoreId[] = NOBODY
  /** Where it waits to be sent or acknowledged. */
  queues: readonly SendQueue[] = NOWHERE

  constructor(options: {
    lane: OutgoingLane
    sequence: number
    kind: FrameKind
    schemaId: SchemaId
    count: number
    size: number
    /** Absent when only the outbox log has them. */
    bytes?: Buffer
    position: FramePosition | undefined
  }) {
    this.lane = options.lane
    this.sequence = options.sequence
    this.kind = options.kind
    this.schemaId = options.schemaId
    this.count = options.count
    this.size = options.size
    this.bytes = options.bytes
    this.position = options.position
  }
}
