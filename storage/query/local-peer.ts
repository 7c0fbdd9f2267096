// This process's own store, as a peer: what an asker next to it reads without HTTP, and what the
// routes under /v1/peer/ serve to others.
import { laneKey, schemaFrame, type SchemaId, type StoreId } from '../../mesh/index.ts'
import { storeDigest, storeStreams } from './digest.ts'
import type {
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
  private readonly options: LocalPeerOptions
  /** Under way. */
  private scans = 0

  constructor(options: LocalPeerOptions) {
    this.options = options
    this.storeId = options.storeId
  }

  async digest(request: DigestRequest): Promise<DigestAnswer> {
    const { store, storeId, life, members } = this.options
    // Damage changes what a digest says without changing what is held.
    const version = `${life}-${store.version}-${store.damaged().length}`
    const unchanged = request.have === version
    return {
      storeId,
      version,
      unchanged,
      lanes: unchanged ? [] : storeDigest(store, request),
      streams: storeStreams(store),
      members: members(),
      notCounted: this.notCounted(),
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
  ): AsyncGenerator<FrameRecord, boolean> {
    let bytes = 0
    for (const { source, stream, epoch, runs } of lanes) {
      const key = laneKey(source, stream, epoch)
      for (let i = 0; i < runs.length; i += 2) {
        for await (const { frame, ingestUs } of this.options.store.read(
          key,
          runs[i]!,
          runs[i + 1]!,
        )) {
          signal.throwIfAborted()
          if (bytes >= bytesMax) return true
          bytes += frame.bytes.length
          yield { ingestUs, bytes: frame.bytes }
        }
      }
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
