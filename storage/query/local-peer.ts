// This process's own store, as a peer: what an asker next to it reads without HTTP, and what the
// routes under /v1/peer/ serve to others.
import { schemaFrame, type SchemaId, type StoreId } from '../../mesh/index.ts'
import { Fingerprints } from '../repair/fingerprints.ts'
import { storeDifferences, storeDigest, storeStreams } from './digest.ts'
import type {
  DifferencesAnswer,
  DifferencesRequest,
  DigestAnswer,
  DigestRequest,
  FrameRecord,
  FramesRequest,
  Member,
  ScanEvent,
  ScanRequest,
  StorePeer,
  StreamPart,
} from './peer.ts'
import { readLanes } from './read-lanes.ts'
import { scan, type ScanSource } from './scan.ts'
import { describeStreams } from './streams.ts'

/** What all scans under way may hold, in values of roughly 16 bytes; each has its share, within bounds. */
const SCANS_WEIGHT_MAX = 2_000_000
const SCAN_WEIGHT_MAX = 500_000
const SCAN_WEIGHT_MIN = 20_000

export interface LocalPeerOptions extends ScanSource {
  readonly storeId: StoreId
  /** Tells this life of the process from another, whose version numbers may mean something else. */
  readonly life: string
  /** The synced member table, with the endpoints known. */
  readonly members: () => readonly Member[]
  /** Why this store does not count for coverage just now; undefined when it does. Damage is added here. */
  readonly notCounted?: () => string | undefined
}

export class LocalPeer implements StorePeer {
  readonly storeId: StoreId
  readonly fingerprints: Fingerprints
  private readonly options: LocalPeerOptions
  /** Under way. */
  private scans = 0

  constructor(options: LocalPeerOptions) {
    this.options = options
    this.storeId = options.storeId
    this.fingerprints = new Fingerprints(options.store)
  }

  async digest(request: DigestRequest): Promise<DigestAnswer> {
    const { store, storeId, members } = this.options
    const lanes = storeDigest(store, request)
    return {
      storeId,
      lanes,
      // Who finds something need not be told what else there is.
      streams: lanes.length > 0 ? [] : storeStreams(store),
      members: members(),
      notCounted: this.notCounted(),
    }
  }

  async differences({ life, shards }: DifferencesRequest): Promise<DifferencesAnswer> {
    const { store, storeId, life: ownLife } = this.options
    const asked =
      life === ownLife ? shards : shards.map((shard) => ({ ...shard, since: undefined }))
    return {
      storeId,
      life: ownLife,
      version: store.version,
      shards: storeDifferences(store, this.fingerprints, asked),
    }
  }

  async *scan(request: ScanRequest, signal: AbortSignal): AsyncGenerator<ScanEvent> {
    this.scans += 1
    try {
      const share = Math.floor(SCANS_WEIGHT_MAX / this.scans)
      const windowWeightMax = Math.max(SCAN_WEIGHT_MIN, Math.min(SCAN_WEIGHT_MAX, share))
      yield* scan({ windowWeightMax, ...this.options }, request, signal)
    } finally {
      this.scans -= 1
    }
  }

  streams(): Promise<readonly StreamPart[]> {
    return describeStreams(this.options.store, this.options.schemaOf)
  }

  async *frames(
    { lanes, bytesMax }: FramesRequest,
    signal: AbortSignal,
  ): AsyncGenerator<readonly FrameRecord[], boolean> {
    let bytes = 0
    for await (const page of readLanes(this.options.store, lanes)) {
      signal.throwIfAborted()
      const upTo = page.findIndex(({ frame }) => (bytes += frame.bytes.length) >= bytesMax)
      const some = upTo < 0 ? page : page.slice(0, upTo + 1)
      yield some.map(({ frame, ingestUs }) => ({ ingestUs, bytes: frame.bytes }))
      if (upTo >= 0) return true
    }
    return false
  }

  async schema(id: SchemaId): Promise<Buffer | undefined> {
    const schema = await this.options.schemaOf(id)
    return schema && schemaFrame(schema)
  }

  private notCounted(): string | undefined {
    const damaged = this.options.store.damaged().length
    if (damaged > 0) return `${damaged} damaged frames are not repaired yet`
    return this.options.notCounted?.()
  }
}
