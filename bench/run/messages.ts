// What the bench and its client processes say to each other, over IPC with structured clones.
import type { Load } from '../load.ts'
import type { Channel } from '../systems/system.ts'

/** Told to a client process when it starts. */
export interface Assignment {
  readonly channel: Channel
  readonly load: Load
  /** Its number among those of its kind. */
  readonly process: number
  readonly baseUs: number
  /** Subscribers: everything from the beginning of the channel. */
  readonly fromStart?: boolean
  /** Subscribers of a load with a sink: the folder to make for it. */
  readonly sinkPath?: string
}

export type ToClient =
  | { readonly type: 'open'; readonly assignment: Assignment }
  /** Publishers: the plan begins then, µs. */
  | { readonly type: 'go'; readonly startUs: number }
  /** Subscribers: send what came so far. The times are many: asked for once. */
  | { readonly type: 'report'; readonly withTimes: boolean }
  | { readonly type: 'close' }

export type FromClient =
  | { readonly type: 'ready' }
  /** The warm-up is over; the measured time is over. */
  | { readonly type: 'window'; readonly isOpen: boolean; readonly progress: Progress }
  | { readonly type: 'published'; readonly published: Published }
  | { readonly type: 'arrived'; readonly arrived: Arrived }
  | { readonly type: 'failed'; readonly message: string }

/** So far. */
export interface Progress {
  readonly atUs: number
  readonly published: number
  readonly receipts: number
  readonly sentBytes: number
  readonly sentMessages: number
}

export interface Published {
  /** Samples. */
  readonly published: number
  readonly receipts: number
  readonly duplicates: number
  /** Given up by the client, with the first reason. */
  readonly lost: number
  readonly lostWhy?: string
  /** Of an open loop: by batch of this process, µs; `sentUs` is 0 for a batch that never was. */
  readonly dueUs?: Float64Array
  readonly sentUs?: Float64Array
  /** By sample number; 0 for none. */
  readonly receiptUs?: Float64Array
}

export interface Arrived {
  /** When the subscriber began to open, its program loaded, µs. */
  readonly openedUs: number
  /** User and system, since then. */
  readonly cpuSeconds: number
  /** Different samples, and those that came again. */
  readonly count: number
  readonly duplicates: number
  /** By sample number; 0 for none. Of an open loop only. */
  readonly arrivalUs?: Float64Array
}

/** The batches of a load with a rate, of one of its publishers. */
export function batchesPerSecond({ rate, samplesPerFrame, publishers }: Load): number {
  return rate! / samplesPerFrame / publishers
}

/** Above every sample number of the load. */
export function numbersEnd(batches: number, { samplesPerFrame, publishers }: Load): number {
  return batches * publishers * samplesPerFrame
}

/** Of a publisher's batch, among the batches of all publishers. */
export function batchNumber(own: number, process: number, { publishers }: Load): number {
  return own * publishers + process
}
