// Takes up what earlier lives left in the outbox log: their frames under their old names, the samples
// they had not sealed under new ones (docs/delivery.md §5).
import { MeshError } from '../errors.ts'
import { NO_SCHEMA } from '../frame.ts'
import type { LaneKey } from '../names.ts'
import type { OutboxLog, RecoveredLane } from '../outbox/log.ts'
import type { SchemaExchange } from '../schema-exchange.ts'
import { Entry } from './entry.ts'
import type { OutgoingLane } from './lane.ts'
import type { Outbox } from './outbox.ts'
import type { Sealer } from './sealer.ts'
import type { Series } from './series.ts'

export interface RecoveryParts {
  readonly log: OutboxLog
  readonly outbox: Outbox
  readonly schemas: SchemaExchange
  readonly sealer: Sealer
  /** The epoch is given: the same recording will be published again, and goes on with these lanes. */
  readonly isReplay: boolean
  readonly addLane: (lane: RecoveredLane) => OutgoingLane
  readonly laneByKey: (key: LaneKey) => OutgoingLane | undefined
  readonly series: (stream: string, source: string) => Series
}

export interface Recovery {
  /** Frames to be sent again. */
  readonly backlog: readonly Entry[]
  /** Lanes that get an end frame once all before it is stored. */
  readonly draining: readonly OutgoingLane[]
}

export function recover(parts: RecoveryParts): Recovery {
  const { log, outbox, schemas, laneByKey } = parts
  const { lanes, frames } = log.recovered
  const draining = lanes.flatMap((lane) => recoverLane(parts, lane) ?? [])
  for (const id of new Set(frames.map(({ frame }) => frame.schemaId))) {
    const schema = id === NO_SCHEMA ? undefined : log.schema(id)
    if (schema !== undefined) schemas.add(schema)
  }
  const backlog = frames.map(({ position, size, frame }) => {
    const { sequence, kind, count, schemaId } = frame
    const lane = laneByKey(frame.laneKey)!
    const entry = new Entry({ lane, sequence, kind, schemaId, count, size, position })
    outbox.add(entry)
    return entry
  })
  recoverSamples(parts)
  log.forgetRecovered()
  return { backlog, draining }
}

/** A lane whose end nobody knows gets no end frame: it counts as over after 24 h of silence. */
function recoverLane(parts: RecoveryParts, recovered: RecoveredLane): OutgoingLane | undefined {
  const lane = parts.addLane(recovered)
  lane.ended = recovered.ended || recovered.uncertain || parts.isReplay
  return lane.ended ? undefined : lane
}

function recoverSamples({ log, sealer, isReplay, series }: RecoveryParts): void {
  for (const { stream, source, sample, ordinal } of log.recovered.samples) {
    // A replay names its frames by what is in them, and publishes this sample again in its place.
    if (isReplay) {
      log.dropSamples([ordinal])
      continue
    }
    try {
      series(stream, source).adopt(sample, ordinal)
    } catch (error) {
      if (!(error instanceof MeshError)) throw error
      sealer.unfit({ stream, source }, sample, [ordinal], error)
    }
  }
}
