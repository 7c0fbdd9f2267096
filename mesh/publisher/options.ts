// What a publisher is given and what it tells: options, receipts, counters.
import type { AckLevel } from '../ack.ts'
import type { Clock, Random } from '../clock.ts'
import type { MeshError } from '../errors.ts'
import type { CodecName } from '../frame.ts'
import type { Membership, MeshIdentity } from '../membership.ts'
import type { Epoch, Lane, StoreId } from '../names.ts'
import type { OutboxLog } from '../outbox/log.ts'
import type { Sample } from '../sample.ts'
import type { Schema } from '../schema.ts'
import type { Transport } from '../transport.ts'
import type { WhenFull } from './outbox.ts'

export const LINGER_MS_DEFAULT = 5
export const FRAME_BYTES_DEFAULT = 16 * 1024
export const OUTBOX_MEMORY_BYTES_DEFAULT = 64 * 1024 * 1024
export const OUTBOX_DISK_BYTES_DEFAULT = 1024 * 1024 * 1024

export interface PublisherOptions {
  readonly mesh: MeshIdentity
  readonly transport: Transport
  readonly membership: Membership
  readonly clock: Clock
  readonly random: Random
  /** Default `columnar`. */
  readonly codec?: CodecName
  /** For streams that want another codec. */
  readonly codecOf?: (stream: string) => CodecName | undefined
  /** zstd inside columnar bodies. Default false. */
  readonly compress?: boolean
  /** Declared schemas by stream; other streams get an inferred one. */
  readonly schemas?: ReadonlyMap<string, Schema>
  readonly whenFull?: (stream: string) => WhenFull
  readonly lingerMs?: number
  readonly frameBytes?: number
  readonly outboxMemoryBytes?: number
  readonly outboxDiskBytes?: number
  /** The outbox on disk, opened; the publisher closes it. */
  readonly outboxLog?: OutboxLog
  /** What counts as stored (docs/delivery.md §2). Default `synced`. */
  readonly level?: AckLevel
  /** For a replay: names that derive from what is replayed. Default: a new epoch. */
  readonly epoch?: Epoch
  /** Called for each data frame that W stores hold. */
  readonly onReceipt?: (receipt: FrameReceipt) => void
  /** Called for each accepted sample that is given up, because no frame can hold it. */
  readonly onUnfit?: (unfit: UnfitSample) => void
  /** Called for each frame that the outbox log cannot give back: its samples are lost. */
  readonly onDamaged?: (damaged: DamagedFrame) => void
  /** Called when it is closed: whoever holds it may let it go. */
  readonly onClosed?: () => void
}

export interface DamagedFrame extends Lane {
  readonly sequence: number
  /** Samples in it. */
  readonly count: number
}

export interface UnfitSample {
  readonly source: string
  readonly stream: string
  readonly sample: Sample
  readonly error: MeshError
}

export interface Receipt {
  readonly level: AckLevel
  readonly stores: readonly StoreId[]
}

export interface FrameReceipt extends Receipt {
  readonly source: string
  readonly stream: string
  readonly epoch: Epoch
  readonly sequence: number
  readonly count: number
  /** Event times of the frame's samples, in the order published; µs. Only kept for frames of this life. */
  readonly timesUs: readonly number[]
}

export interface PublisherCounters {
  samplesPublished: number
  samplesStored: number
  framesStored: number
  samplesRefused: number
  samplesDroppedOldest: number
  samplesDroppedNewest: number
  /** Given up: recovered, and its schema is stricter now; or too large for a frame once encoded. */
  samplesUnfit: number
  framesDamaged: number
  conflicts: number
}

export function newCounters(): PublisherCounters {
  return {
    samplesPublished: 0,
    samplesStored: 0,
    framesStored: 0,
    samplesRefused: 0,
    samplesDroppedOldest: 0,
    samplesDroppedNewest: 0,
    samplesUnfit: 0,
    framesDamaged: 0,
    conflicts: 0,
  }
}
