// The numbers of a storage peer, by the names under which it counts them.
import type { Transport } from '../../mesh/index.ts'
import type { Ingest, MetricsSource, Repair } from '../../storage/index.ts'
import type { DiskCare } from './disk-care.ts'
import type { StoreDisk } from './disk.ts'
import { metricsRegistry, type Metric } from './metrics-registry.ts'

export interface StorageParts {
  readonly disk: StoreDisk
  readonly ingest: Ingest
  readonly repair: Repair
  readonly care: DiskCare
  readonly transport: Transport
  readonly refusing: () => string | undefined
}

export function storageMetrics(parts: StorageParts): MetricsSource {
  return metricsRegistry([
    ...writerMetrics(parts),
    ...ingestMetrics(parts),
    ...repairMetrics(parts),
    ...careMetrics(parts),
    ...transportMetrics(parts),
  ])
}

function writerMetrics({ disk: { writer, store, schemas }, refusing }: StorageParts): Metric[] {
  const { counters } = writer
  return [
    ['skein_store_frames_total', 'Frames stored since the start', () => counters.frames],
    ['skein_store_samples_total', 'Samples in those frames', () => counters.samples],
    ['skein_store_bytes_total', 'Bytes of those frames', () => counters.bytes],
    ['skein_store_commits_total', 'Batches written and synced', () => counters.batches],
    ['skein_store_fsyncs_total', 'fdatasync calls', () => store.syncCount],
    ['skein_store_duplicates_total', 'Frames that were held already', () => counters.duplicates],
    ['skein_store_conflicts_total', 'Names held with other bytes', () => counters.conflicts],
    ['skein_store_queued_bytes', 'Bytes waiting for the disk', () => writer.queuedBytes],
    [
      'skein_store_damaged_schemas',
      'Schemas whose files cannot be read, until another store has sent them',
      () => schemas.damaged.length,
    ],
    ['skein_store_refusing', '1: acknowledges nothing', () => (refusing() === undefined ? 0 : 1)],
  ]
}

function ingestMetrics({ ingest: { counters } }: StorageParts): Metric[] {
  return [
    [
      'skein_ingest_rejected_frames_total',
      'Frames with a wrong CRC, length or field: dropped',
      () => counters.rejectedFrames,
    ],
    [
      'skein_ingest_rejected_messages_total',
      'Messages that are not of this mesh or not whole: dropped',
      () => counters.rejectedMessages,
    ],
    [
      'skein_ingest_refused_frames_total',
      'Frames not taken because the budget was used up: their publishers repeat them',
      () => counters.refusedFrames,
    ],
    [
      'skein_ingest_unknown_schemas_total',
      'Frames not taken because their schema was not known yet',
      () => counters.unknownSchemas,
    ],
  ]
}

function repairMetrics({ repair }: StorageParts): Metric[] {
  return [
    [
      'skein_repair_pulled_frames_total',
      'Frames fetched from other stores',
      () => repair.counters.pulledFrames,
    ],
    ['skein_repair_pulled_bytes_total', 'Bytes of those frames', () => repair.counters.pulledBytes],
    [
      'skein_repair_missing_frames',
      'Frames others hold and this one should',
      () => repair.missingFrames,
    ],
    [
      'skein_repair_frames_per_second',
      'Frames fetched over the last seconds, while any are missing',
      () => repair.progress()?.framesPerSecond ?? 0,
    ],
    [
      'skein_repair_bytes_per_second',
      'Bytes of those frames',
      () => repair.progress()?.bytesPerSecond ?? 0,
    ],
    [
      'skein_repair_seconds_left',
      'Until nothing is missing, at that rate; NaN while nothing comes',
      () => {
        const progress = repair.progress()
        return progress === undefined ? 0 : (progress.secondsLeft ?? NaN)
      },
    ],
    [
      'skein_repair_looks_total',
      'Times it asked the other stores what they hold',
      () => repair.counters.looks,
    ],
    [
      'skein_repair_last_complete_look_age_seconds',
      'Since all other stores answered, or since the start',
      () => repair.wholeLookMsAgo / 1000,
    ],
    [
      'skein_repair_failed_peers_total',
      'Stores that did not answer, or broke off',
      () => repair.counters.failedPeers,
    ],
    [
      'skein_repair_rejected_frames_total',
      'Frames that came with a wrong CRC or were not asked for: dropped',
      () => repair.counters.rejectedFrames,
    ],
  ]
}

function careMetrics({ care: { upkeep, scrub } }: StorageParts): Metric[] {
  return [
    [
      'skein_retention_trimmed_buckets_total',
      'Buckets of ingest time that retention removed',
      () => upkeep.counters.trimmedBuckets,
    ],
    [
      'skein_retention_trimmed_bytes_total',
      'Bytes of their files',
      () => upkeep.counters.trimmedBytes,
    ],
    [
      'skein_compaction_buckets_total',
      'Buckets rewritten as columnar blocks',
      () => upkeep.counters.compactedBuckets,
    ],
    [
      'skein_compaction_read_bytes_total',
      'Bytes of their files before',
      () => upkeep.counters.compactedFromBytes,
    ],
    [
      'skein_compaction_written_bytes_total',
      'Bytes of their files after',
      () => upkeep.counters.compactedToBytes,
    ],
    ['skein_scrub_bytes_total', 'Bytes read and checked', () => scrub.counters.bytes],
    ['skein_scrub_passes_total', 'Times all of it was', () => scrub.counters.passes],
    [
      'skein_scrub_damaged_frames_total',
      'Frames found that can no longer be read',
      () => scrub.counters.damagedFrames,
    ],
  ]
}

function transportMetrics({ transport }: StorageParts): Metric[] {
  return [
    [
      'skein_transport_sent_messages_total',
      'Messages sent',
      () => transport.counters().sentMessages,
    ],
    [
      'skein_transport_received_messages_total',
      'Messages received',
      () => transport.counters().receivedMessages,
    ],
    [
      'skein_transport_dropped_messages_total',
      'Messages dropped from a full queue',
      () => transport.counters().droppedMessages,
    ],
    [
      'skein_transport_rejected_messages_total',
      'Received and not understood: garbage, another mesh, another version, oversize',
      () => transport.counters().rejectedMessages,
    ],
    [
      'skein_transport_lag_bytes',
      'Bytes queued for other processes',
      () => transport.queuedBytes(),
    ],
  ]
}
