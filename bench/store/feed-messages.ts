// What the bench and the process that feeds a store say to each other.
import type { Channel } from '../systems/system.ts'
import type { FrameSet } from './frames.ts'

export interface FeedAssignment {
  readonly set: FrameSet
  /** The system, and where it is; of Skein a seed of the mesh. */
  readonly channel: Channel
  /** Skein's stores that must be there before it begins; the setting's copies are R and W. */
  readonly stores: number
  /** Without their ack, for each store. */
  readonly inFlightBytes: number
  /** As fast as acks come when absent. */
  readonly framesPerSecond?: number
  /** Counted over all passes of the set: where it begins, because another feed sent those before. */
  readonly firstFrame: number
  /** Where it ends; without end when absent. */
  readonly endFrame?: number
}

export interface FeedProgress {
  /** On the clock that all processes share. */
  readonly atUs: number
  /** Each once, however many copies. */
  readonly ackedFrames: number
  readonly ackedBytes: number
  /** All before `endFrame` are acknowledged. */
  readonly isDone: boolean
}

export type ToFeed =
  | { readonly type: 'open'; readonly assignment: FeedAssignment }
  | { readonly type: 'go' }
  | { readonly type: 'ask' }
  | { readonly type: 'close' }

export type FromFeed =
  | { readonly type: 'ready' }
  | { readonly type: 'progress'; readonly progress: FeedProgress }
  | { readonly type: 'failed'; readonly message: string }
