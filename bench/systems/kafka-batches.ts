// What waits for one partition and what is on its way there, in batches, by the rules of Kafka's Java
// producer: a batch is open until the next record has no room in it or it leaves; it may leave when it is
// full or as old as the linger. Each keeps its sequence when it is sent again, by which the broker knows
// those that it has.
import { Deque } from '../../mesh/publisher/deque.ts'
import { HEAD_BYTES, recordBytes, type Entry } from '../../mesh/transports/kafka-records.ts'
import type { Shrinking } from './kafka-shrinking.ts'

export interface BatchRules {
  readonly batchBytes: number
  readonly lingerMs: number
  readonly shrinking: Shrinking
}

type Samples = readonly { readonly timeUs: number }[]

export class Batch {
  readonly entries: Entry[] = []
  readonly samples: { readonly timeUs: number }[] = []
  readonly openedMs: number
  /** Of its records, not compressed. */
  bytes = HEAD_BYTES
  /** Undefined until it is sent first: from then on it takes no more. */
  sequence: number | undefined

  constructor(openedMs: number) {
    this.openedMs = openedMs
  }
}

export class PartitionQueue {
  readonly partition: number
  private readonly rules: BatchRules
  /** Those in flight first. */
  private readonly batches = new Deque<Batch>()
  private inFlight = 0
  private nextSequence = 0

  constructor(partition: number, rules: BatchRules) {
    this.partition = partition
    this.rules = rules
  }

  /** Whether a batch became full. */
  append(entry: Entry, samples: Samples, nowMs: number): boolean {
    const open = this.open()
    if (open !== undefined && this.take(open, entry, samples)) return false
    const batch = new Batch(nowMs)
    // The first record has room however large it is.
    add(batch, entry, samples, recordBytes(entry, 0))
    this.batches.push(batch)
    return open !== undefined
  }

  /** When its next batch may leave, on the clock that append() was given; undefined when nothing waits. */
  dueMs(): number | undefined {
    const next = this.next()
    if (next === undefined) return undefined
    const isFull = next !== this.open()
    return isFull ? next.openedMs : next.openedMs + this.rules.lingerMs
  }

  /** The batch that leaves next, however old it is. */
  next(): Batch | undefined {
    return this.batches.at(this.inFlight)
  }

  /** It leaves. */
  send(batch: Batch): void {
    this.inFlight += 1
    if (batch.sequence !== undefined) return
    batch.sequence = this.nextSequence
    this.nextSequence = (this.nextSequence + batch.entries.length) & 0x7fff_ffff
  }

  /** The oldest in flight has arrived. */
  confirm(): Batch {
    this.inFlight -= 1
    return this.batches.shift()!
  }

  /** Nothing in flight will be answered: it leaves again, in the same order. */
  rewind(): void {
    this.inFlight = 0
  }

  /** For a new producer id, that knows no sequences yet. Nothing is in flight. */
  renumber(): void {
    this.nextSequence = 0
    for (const batch of this.batches) {
      if (batch.sequence === undefined) return
      batch.sequence = this.nextSequence
      this.nextSequence += batch.entries.length
    }
  }

  /** The batch that takes more. */
  private open(): Batch | undefined {
    const last = this.batches.last()
    return last?.sequence === undefined ? last : undefined
  }

  private take(batch: Batch, entry: Entry, samples: Samples): boolean {
    const { batchBytes, shrinking } = this.rules
    const bytes = recordBytes(entry, batch.entries.length)
    if (shrinking.expected(batch.bytes) + bytes > batchBytes) return false
    add(batch, entry, samples, bytes)
    return true
  }
}

function add(batch: Batch, entry: Entry, samples: Samples, bytes: number): void {
  batch.entries.push(entry)
  for (const sample of samples) batch.samples.push(sample)
  batch.bytes += bytes
}
