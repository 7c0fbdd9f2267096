// What waits for a broker, which hands it to every store that consumes its shard.
import type { BrokerTransport } from '../transport.ts'
import { SendQueue } from './send-queue.ts'

/** What one publisher may have on its way to its stores: 100 ms of a broker that syncs each message. */
const WINDOW_BYTES = 4 * 1024 * 1024
/** A broker hands over again by itself what a store has not taken: only what it lost is sent again. */
const RETRY = { firstMs: 10_000, mostMs: 60_000 }

export class BrokerQueue extends SendQueue {
  private readonly transport: BrokerTransport

  constructor(transport: BrokerTransport) {
    super(WINDOW_BYTES, RETRY)
    this.transport = transport
  }

  get isReady(): boolean {
    return this.transport.isConnected
  }

  protected lacks(): boolean {
    return true
  }
}
