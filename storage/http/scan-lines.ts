// How a scan travels between stores: one line of JSON per event. Rows and buckets are arrays in a
// fixed order, since their keys would be most of the bytes; numbers JSON lacks are spelled as in
// query/json-values.ts. The last line says that it is the last: without it the scan was cut off.
//
//   {"rows":[[timeUs,source,epoch,sequence,index,{field:value}],…]}
//   {"buckets":[[timeUs,source,[[field,{count,numbers,sum,min,max,first,last}],…]],…]}
//   {"unreadable":[{source,epoch,runs,reason},…]}
//   {"end":true}
import type { Epoch } from '../../mesh/index.ts'
import type { BucketPartial, Edge, FieldPartial } from '../query/aggregate.ts'
import { fromJsonFields, fromJsonValue, toJsonFields, toJsonValue } from '../query/json-values.ts'
import type { ScanEvent } from '../query/peer.ts'
import type { Row, RowKey } from '../query/row.ts'

export const SCAN_END = '{"end":true}\n'

export function encodeScanEvent(event: ScanEvent): string {
  if ('rows' in event) return `{"rows":${JSON.stringify(event.rows.map(rowToJson))}}\n`
  if ('buckets' in event) return `{"buckets":${JSON.stringify(event.buckets.map(bucketToJson))}}\n`
  return `${JSON.stringify(event)}\n`
}

/** @throws TypeError when it is no such line. */
export function decodeScanLine(line: string): ScanEvent | 'end' {
  const json = JSON.parse(line) as Record<string, unknown>
  if (Array.isArray(json['rows'])) return { rows: json['rows'].map(rowFromJson) }
  if (Array.isArray(json['buckets'])) return { buckets: json['buckets'].map(bucketFromJson) }
  if (Array.isArray(json['unreadable'])) return json as unknown as ScanEvent
  if (json['end'] === true) return 'end'
  const { error } = json as { error?: { message?: string } }
  throw new TypeError(error?.message ?? `not a line of a scan: ${line.slice(0, 100)}`)
}

type JsonKey = readonly [number, string, Epoch, number, number]
type JsonRow = readonly [...JsonKey, object]
type JsonEdge = readonly [JsonKey, unknown]
interface JsonField {
  readonly count: number
  readonly numbers: number
  readonly sum: readonly unknown[]
  readonly min?: unknown
  readonly max?: unknown
  readonly first?: JsonEdge
  readonly last?: JsonEdge
}
type JsonBucket = readonly [number, string, readonly (readonly [string, JsonField])[]]

function rowToJson(row: Row): JsonRow {
  return [row.timeUs, row.source, row.epoch, row.sequence, row.index, toJsonFields(row.fields)]
}

function rowFromJson(json: JsonRow): Row {
  const [timeUs, source, epoch, sequence, index, fields] = json
  return { timeUs, source, epoch, sequence, index, fields: fromJsonFields(fields) }
}

function bucketToJson({ timeUs, source, fields }: BucketPartial): JsonBucket {
  return [timeUs, source, [...fields].map(([name, partial]) => [name, fieldToJson(partial)])]
}

function bucketFromJson([timeUs, source, fields]: JsonBucket): BucketPartial {
  return {
    timeUs,
    source,
    fields: new Map(fields.map(([name, json]) => [name, fieldFromJson(json)])),
  }
}

function fieldToJson({ count, numbers, sum, min, max, first, last }: FieldPartial): JsonField {
  return {
    count,
    numbers,
    sum: sum.map(toJsonValue),
    ...(min !== undefined && { min: toJsonValue(min) }),
    ...(max !== undefined && { max: toJsonValue(max) }),
    ...(first && { first: edgeToJson(first) }),
    ...(last && { last: edgeToJson(last) }),
  }
}

function fieldFromJson({ count, numbers, sum, min, max, first, last }: JsonField): FieldPartial {
  return {
    count,
    numbers,
    sum: sum.map(numberFromJson),
    ...(min !== undefined && { min: numberFromJson(min) }),
    ...(max !== undefined && { max: numberFromJson(max) }),
    ...(first && { first: edgeFromJson(first) }),
    ...(last && { last: edgeFromJson(last) }),
  }
}

function edgeToJson({ key, value }: Edge): JsonEdge {
  return [[key.timeUs, key.source, key.epoch, key.sequence, key.index], toJsonValue(value)]
}

function edgeFromJson([key, value]: JsonEdge): Edge {
  const [timeUs, source, epoch, sequence, index] = key
  const rowKey: RowKey = { timeUs, source, epoch, sequence, index }
  return { key: rowKey, value: fromJsonValue(value) }
}

function numberFromJson(json: unknown): number {
  return fromJsonValue(json) as number
}
