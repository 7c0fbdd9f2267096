// What waits on one link. Two lanes share one limit in bytes: directed messages, which are refused
// when there is no room, and undirected (live) ones, which make room by dropping their oldest.
// They leave in the order they came, across both lanes.
import type { Outgoing } from './wire.ts'
import { packedBytes } from './wire.ts'

/** About what one queued message takes in memory beyond its bytes; so empty ones are bounded too. */
const MESSAGE_OVERHEAD_BYTES = 64

export interface Dropped {
  messages: number
  bytes: number
}

const costOf = (message: Outgoing): number =>
  message.topic.length + message.bytes.length + MESSAGE_OVERHEAD_BYTES

/** A first-in-first-out list that never shifts: the head moves, and the spent part is cut off now and then. */
class Lane {
  private messages: Outgoing[] = []
  private turns: number[] = []
  private head = 0

  get length(): number {
    return this.messages.length - this.head
  }

  push(message: Outgoing, turn: number): void {
    this.messages.push(message)
    this.turns.push(turn)
  }

  first(): Outgoing | undefined {
    return this.messages[this.head]
  }

  /** When the first message came, counted over both lanes. */
  firstTurn(): number {
    return this.turns[this.head] ?? Number.POSITIVE_INFINITY
  }

  shift(): void {
    this.head += 1
    if (this.head === this.messages.length) {
      this.messages = []
      this.turns = []
      this.head = 0
    } else if (this.head >= 1024 && this.head * 2 >= this.messages.length) {
      this.messages = this.messages.slice(this.head)
      this.turns = this.turns.slice(this.head)
      this.head = 0
    }
  }

  *[Symbol.iterator](): Generator<Outgoing> {
    for (let index = this.head; index < this.messages.length; index += 1) {
      yield this.messages[index]!
    }
  }
}

export class LinkQueue {
  private readonly directed = new Lane()
  private readonly undirected = new Lane()
  private readonly bytesMax: number
  private turn = 0
  /** Cost of what waits: bytes, topics and a fixed overhead per message. */
  bytes = 0

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }

  get length(): number {
    return this.directed.length + this.undirected.length
  }

  /**
   * Takes a message, or refuses it (false). What it drops to make room is added to `dropped`, the
   * refused message itself is not. A message larger than the limit is taken when nothing waits.
   */
  push(message: Outgoing, dropped: Dropped): boolean {
    const cost = costOf(message)
    while (this.bytes + cost > this.bytesMax && this.undirected.length > 0) {
      const oldest = this.undirected.first()!
      this.undirected.shift()
      this.bytes -= costOf(oldest)
      dropped.messages += 1
      dropped.bytes += oldest.bytes.length
    }
    if (this.bytes + cost > this.bytesMax && this.directed.length > 0) return false
    const lane = message.directed ? this.directed : this.undirected
    lane.push(message, this.turn)
    this.turn += 1
    this.bytes += cost
    return true
  }

  /** The oldest messages, up to `packBytesMax` once packed; at least one when any waits. */
  take(packBytesMax: number): Outgoing[] {
    const taken: Outgoing[] = []
    let bytes = 0
    let previous: Buffer | undefined
    while (this.length > 0) {
      const lane =
        this.directed.firstTurn() < this.undirected.firstTurn() ? this.directed : this.undirected
      const message = lane.first()!
      bytes += packedBytes(message, previous)
      if (taken.length > 0 && bytes > packBytesMax) break
      lane.shift()
      this.bytes -= costOf(message)
      taken.push(message)
      previous = message.topic
    }
    return taken
  }

  /** A mark for `isPast`: everything queued until now. */
  mark(): number {
    return this.turn
  }

  /** Whether everything up to the mark has left; with `directedOnly`, every directed message. */
  isPast(mark: number, directedOnly: boolean): boolean {
    if (this.directed.firstTurn() < mark) return false
    return directedOnly || this.undirected.firstTurn() >= mark
  }

  /** Copies bytes that still belong to the publisher, so that it may reuse them. */
  ownBytes(): void {
    for (const message of this.undirected) {
      if (!message.owned) {
        message.bytes = Uint8Array.from(message.bytes)
        message.owned = true
      }
    }
  }
}
