// What an asker needs of a store, wherever that store is: its own (local-peer.ts), or one behind
// HTTP (http/peer-client.ts). Repair uses the same.
import type { Epoch, MemberState, SchemaId, StoreId } from '../../mesh/index.ts'
import type { LaneDigest } from '../coverage.ts'
import type { BucketPartial } from './aggregate.ts'
import type { Query } from './query.ts'
import type { Position, Row } from './row.ts'

/** One row of a store's member table. Stores without an endpoint count, but cannot be asked. */
export interface Member {
  readonly storeId: StoreId
  readonly state: MemberState
  /** Base URL of its HTTP server, `http://host:port`. */
  readonly http?: string | undefined
}

export interface DigestRequest {
  readonly stream?: string | undefined
  readonly sources?: readonly string[] | undefined
  readonly shards?: readonly number[] | undefined
}

export interface DigestAnswer {
  readonly storeId: StoreId
  readonly lanes: readonly LaneDigest[]
  /** Every stream this store has data of, where it has no lane of what was asked. */
  readonly streams: readonly string[]
  /** Its own table of the mesh's stores. */
  readonly members: readonly Member[]
  /** Why this store does not count for coverage; absent when it does. */
  readonly notCounted?: string | undefined
}

/** Runs of one lane, as a flat array [a0, b0, …]. */
export interface EpochRuns {
  readonly epoch: Epoch
  readonly runs: readonly number[]
}

/** What to read of one source: everything the store holds, or just these runs. */
export interface SourcePart {
  readonly source: string
  readonly lanes?: readonly EpochRuns[] | undefined
}

export interface ScanRequest {
  readonly query: Query
  readonly parts: readonly SourcePart[]
  /** Only what comes after this, in the query's order: where an earlier reader stopped. */
  readonly after?: Position | undefined
}

/** Frames of the parts that this store holds and cannot read or decode. */
export interface UnreadableRuns extends EpochRuns {
  readonly source: string
  readonly reason: string
}

/**
 * Rows (latest, range) or partial buckets (downsample), in the query's order. `unreadable` comes
 * before the first row that such a frame could have changed, so that the asker can turn elsewhere.
 */
export type ScanEvent =
  | { readonly rows: readonly Row[] }
  | { readonly buckets: readonly BucketPartial[] }
  | { readonly unreadable: readonly UnreadableRuns[] }

export interface StreamField {
  readonly name: string
  /** As the schema says: `number`, or a list where several are allowed. */
  readonly type: string | readonly string[]
  readonly unit?: string
  /** COVESA VSS path. */
  readonly vss?: string
  readonly description?: string
}

/** A stream as one store sees it. */
export interface StreamPart {
  readonly stream: string
  readonly sources: readonly string[]
  readonly fields: readonly StreamField[]
  /** Whether its schema was inferred from samples rather than declared. */
  readonly inferred: boolean
}

export interface QueryPeer {
  digest(request: DigestRequest, signal: AbortSignal): Promise<DigestAnswer>
  /** Ends when everything was delivered; anything else is an error. */
  scan(request: ScanRequest, signal: AbortSignal): AsyncIterable<ScanEvent>
  streams(signal: AbortSignal): Promise<readonly StreamPart[]>
}

export interface LaneRuns extends EpochRuns {
  readonly source: string
  readonly stream: string
}

/** A shard that repair asks about, and what the asker has of it. */
export interface KnownShard {
  readonly shard: number
  /** The asker's own: 16 hex digits (repair-fingerprints.ts). */
  readonly fingerprint: string
  /** The version of the answering store as of which the asker knows the shard there; absent: it does not. */
  readonly since?: number | undefined
}

export interface DifferencesRequest {
  /** Of the answering process, when the asker has asked it before: versions count within one life. */
  readonly life?: string | undefined
  readonly shards: readonly KnownShard[]
}

/** The lanes of a shard that changed since the version asked with, of the same life; else all of them. */
export interface ShardDifference {
  readonly shard: number
  readonly lanes: readonly LaneDigest[]
}

export interface DifferencesAnswer {
  readonly storeId: StoreId
  readonly life: string
  readonly version: number
  /** Those whose fingerprints differ; of the others the asker knows all there is. */
  readonly shards: readonly ShardDifference[]
}

export interface FramesRequest {
  readonly lanes: readonly LaneRuns[]
  /** Stop after the frame that reaches this. */
  readonly bytesMax: number
}

/** One stored frame on its way to another store; `bytes` is not checked yet. */
export interface FrameRecord {
  readonly ingestUs: number
  readonly bytes: Buffer
}

export interface RepairPeer {
  differences(request: DifferencesRequest, signal: AbortSignal): Promise<DifferencesAnswer>
  /** Frames in any order, some at a time; returns whether the byte limit cut it short. */
  frames(
    request: FramesRequest,
    signal: AbortSignal,
  ): AsyncGenerator<readonly FrameRecord[], boolean>
  /** The frame a schema travels in, or undefined when this store does not have it. */
  schema(id: SchemaId, signal: AbortSignal): Promise<Buffer | undefined>
}

export interface StorePeer extends QueryPeer, RepairPeer {}
