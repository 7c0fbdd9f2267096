// A publisher as the configuration describes it: schemas, outbox, codecs.
import { join } from 'node:path'
import {
  compileSchema,
  MeshError,
  OutboxLog,
  systemClock,
  type CodecName,
  type Epoch,
  type FrameReceipt,
  type JsonSchema,
  type Publisher,
  type Schema,
  type Session,
  type UnfitSample,
} from '../mesh/index.ts'
import type { Config } from './config/config.ts'
import { seldom } from './seldom.ts'

export interface PublishingOptions {
  /** Names the outbox directory under the data path: one per process that publishes. */
  readonly outboxName: string
  /** Schemas that the program itself declares; the configuration's come first. */
  readonly schemas?: Readonly<Record<string, JsonSchema>>
  /**
   * For a replay, whose frames must be the same bytes each time: its epoch and codec, no compression,
   * and the schemas above, whatever the configuration says.
   */
  readonly replay?: { readonly epoch: Epoch; readonly codec: CodecName }
  readonly onReceipt?: (receipt: FrameReceipt) => void
  /** A sample that was accepted turned out to fit no frame: it is not stored. Default: a warning. */
  readonly onUnfit?: (unfit: UnfitSample) => void
  /** Something that people should know and that ends nothing. */
  readonly onWarning?: (message: string) => void
}

/** @throws MeshError MESH_SCHEMA_INVALID, MESH_OUTBOX_IN_USE, MESH_OUTBOX_DAMAGED, MESH_MISMATCH. */
export async function openPublisher(
  session: Session,
  config: Config,
  options: PublishingOptions,
): Promise<Publisher> {
  const { publisher, dataPath } = config
  const { outboxName, schemas: declared = {}, replay, onReceipt, onWarning = () => {} } = options
  const { onUnfit = unfitWarning(onWarning) } = options
  const schemas = new Map<string, Schema>()
  for (const [stream, json] of Object.entries(declared)) schemas.set(stream, compileSchema(json))
  for (const [stream, { schema }] of Object.entries(publisher.streams)) {
    if (schema !== undefined && replay === undefined) schemas.set(stream, compileSchema(schema))
  }
  const { memoryBytes, diskBytes, syncMs, whenFull } = publisher.outbox
  const outboxLog =
    diskBytes === undefined
      ? undefined
      : await OutboxLog.open({
          directory: join(dataPath, 'outbox', outboxName),
          meshId: session.mesh.id,
          clock: systemClock,
          syncMs,
          segmentBytes: Math.min(8 << 20, Math.ceil(diskBytes / 8)),
          onSyncError: ({ code, message }) => onWarning(`${code}: ${message}`),
        })
  return session.publisher({
    schemas,
    lingerMs: publisher.lingerMs,
    frameBytes: publisher.frameBytes,
    level: publisher.level,
    outboxMemoryBytes: memoryBytes,
    ...(replay ?? {
      codec: publisher.codec,
      compress: publisher.compress,
      codecOf: (stream: string) => publisher.streams[stream]?.codec,
      whenFull: (stream: string) => publisher.streams[stream]?.whenFull ?? whenFull,
    }),
    ...(diskBytes !== undefined && { outboxDiskBytes: diskBytes }),
    ...(outboxLog !== undefined && { outboxLog }),
    ...(onReceipt !== undefined && { onReceipt }),
    onUnfit,
    onDamaged: ({ stream, source, count }) =>
      onWarning(
        `the outbox is damaged on disk: ${count} samples of ${stream} (${source}) that were waiting in it are lost`,
      ),
  })
}

/**
 * publish() of a program that goes on without what is refused: by a full outbox, and by a full disk,
 * which is said.
 * @throws MeshError when the outbox takes nothing more until the program is started again.
 */
export function publishOrRefuse(
  publisher: Pick<Publisher, 'publish'>,
  [stream, source, sample]: Parameters<Publisher['publish']>,
  warn: (message: string) => void,
): boolean {
  try {
    return publisher.publish(stream, source, sample)
  } catch (error) {
    if (!(error instanceof MeshError) || !error.retryable) throw error
    warn(`${error.code}: ${error.message}. Samples are refused until there is space`)
    return false
  }
}

function unfitWarning(onWarning: (message: string) => void): (unfit: UnfitSample) => void {
  const warn = seldom(systemClock, onWarning)
  return ({ stream, source, sample, error }) => {
    warn(
      `sample of ${stream} (${source}, time ${sample.timeUs} µs) was accepted and is given up: ` +
        `${error.message}. Send smaller samples, or loosen the schema under publisher.streams`,
    )
  }
}
