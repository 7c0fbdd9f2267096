// Which streams there are and what they hold, from the data itself: there is no registry to ask.
import type { FrameStore, LaneRecord } from '../frame-store.ts'
import type { StreamField, StreamPart } from './peer.ts'
import type { SchemaLookup } from './scan.ts'
import { SCHEMA_STREAM, type Schema } from '../../mesh/index.ts'

/** A stream as the mesh sees it. */
export interface StreamSummary extends Omit<StreamPart, 'sources'> {
  /** Number of sources. */
  readonly sources: number
}

/** Sources of one stream may have different schemas: so many of the newest lanes are looked at. */
const LANES_LOOKED_AT = 4
/** The last frames of a lane may carry no samples (end, skip). */
const FRAMES_LOOKED_AT = 8

/** The streams a store has data of, by name. Reads a few frames of each. */
export async function describeStreams(
  store: FrameStore,
  schemaOf: SchemaLookup,
): Promise<StreamPart[]> {
  const byStream = new Map<string, LaneRecord[]>()
  for (const lane of store.lanes()) {
    if (lane.sampleCount === 0 || lane.stream === SCHEMA_STREAM) continue
    const lanes = byStream.get(lane.stream)
    if (lanes === undefined) byStream.set(lane.stream, [lane])
    else lanes.push(lane)
  }
  const parts: StreamPart[] = []
  for (const [stream, lanes] of byStream) {
    const newest = lanes.toSorted((a, b) => b.lastIngestUs - a.lastIngestUs)
    const schemas = new Map<string, Schema>()
    for (const lane of newest.slice(0, LANES_LOOKED_AT)) {
      const schema = await laneSchema(store, lane, schemaOf)
      if (schema !== undefined) schemas.set(schema.id, schema)
    }
    parts.push({
      stream,
      sources: [...new Set(lanes.map(({ source }) => source))].sort(),
      fields: mergeFields([...schemas.values()].map(schemaFields)),
      inferred: [...schemas.values()].some(({ inferred }) => inferred),
    })
  }
  return parts.sort((a, b) => (a.stream < b.stream ? -1 : 1))
}

/** The union of what several stores see. */
export function mergeStreams(views: readonly (readonly StreamPart[])[]): StreamSummary[] {
  const byStream = new Map<string, StreamPart[]>()
  for (const part of views.flat()) {
    byStream.set(part.stream, [...(byStream.get(part.stream) ?? []), part])
  }
  return [...byStream.keys()].sort().map((stream) => {
    const parts = byStream.get(stream)!
    return {
      stream,
      sources: new Set(parts.flatMap(({ sources }) => sources)).size,
      fields: mergeFields(parts.map(({ fields }) => fields)),
      inferred: parts.some(({ inferred }) => inferred),
    }
  })
}

export function schemaFields(schema: Schema): StreamField[] {
  const properties = schema.json['properties'] as Readonly<Record<string, FieldSchema>>
  return schema.fields.map((name) => {
    const property = properties[name]!
    const { type, description, 'x-unit': unit, 'x-vss': vss } = property
    return {
      name,
      type,
      ...(typeof unit === 'string' && { unit }),
      ...(typeof vss === 'string' && { vss }),
      ...(typeof description === 'string' && { description }),
    }
  })
}

interface FieldSchema {
  readonly type: string | readonly string[]
  readonly description?: unknown
  readonly 'x-unit'?: unknown
  readonly 'x-vss'?: unknown
}

/** The first description of a field stands; schemas come newest first. */
function mergeFields(lists: readonly (readonly StreamField[])[]): StreamField[] {
  const fields = new Map<string, StreamField>()
  for (const field of lists.flat()) if (!fields.has(field.name)) fields.set(field.name, field)
  return [...fields.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

async function laneSchema(
  store: FrameStore,
  lane: LaneRecord,
  schemaOf: SchemaLookup,
): Promise<Schema | undefined> {
  const { last } = lane.held
  for (let sequence = last; sequence > Math.max(0, last - FRAMES_LOOKED_AT); sequence--) {
    for await (const { frame } of store.read(lane.key, sequence, sequence)) {
      if (frame.kind === 'data') return await schemaOf(frame.schemaId)
    }
  }
  return undefined
}
