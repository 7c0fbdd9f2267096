// What waits for one store on a link of its own.
import type { PeerId, StoreId } from '../names.ts'
import { framesTopic } from '../topic.ts'
import type { Entry } from './entry.ts'
import { SendQueue } from './send-queue.ts'

/** Until a store has named its grant. */
export const GRANT_BYTES_DEFAULT = 256 * 1024
/** Above this a larger grant only adds queueing: it is some 100 ms of a fast disk. */
export const GRANT_BYTES_MAX = 4 * 1024 * 1024
const RETRY = { firstMs: 200, mostMs: 5000 }

export class StoreQueue extends SendQueue {
  readonly storeId: StoreId
  readonly topic: string
  /** The process to send to, while there is a link to it. */
  peer: PeerId | undefined

  constructor(storeId: StoreId) {
    super(GRANT_BYTES_DEFAULT, RETRY)
    this.storeId = storeId
    this.topic = framesTopic(storeId)
  }

  get isReady(): boolean {
    return this.peer !== undefined
  }

  protected lacks(entry: Entry): boolean {
    return !entry.heldBy.includes(this.storeId)
  }
}
