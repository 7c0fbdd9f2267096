// Rows as the public API writes them (docs/http-api.md): times both as text and as microseconds, the
// name of the frame, values exact.
import type { Value } from '../../mesh/index.ts'
import type { BucketRow } from '../query/aggregate.ts'
import { toJsonFields, type JsonValue } from '../query/json-values.ts'
import type { Row } from '../query/row.ts'
import { formatTime } from '../query/time.ts'

export function rowJson(row: Row | BucketRow): string {
  const { timeUs, source } = row
  const time = formatTime(timeUs)
  if (!('epoch' in row)) {
    return JSON.stringify({ time, timeUs, source, fields: aggregatesJson(row.fields) })
  }
  const { epoch, sequence, index } = row
  const fields = toJsonFields(row.fields)
  return JSON.stringify({ time, timeUs, source, fields, epoch, sequence, index })
}

/** As rowJson, kept as long as the row is: a store has the same newest row until there is a newer one. */
export function keptRowJson(row: Row | BucketRow): string {
  let json = kept.get(row)
  if (json === undefined) kept.set(row, (json = rowJson(row)))
  return json
}

const kept = new WeakMap<Row | BucketRow, string>()

function aggregatesJson(fields: BucketRow['fields']): Record<string, Record<string, JsonValue>> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, values]) => [
      name,
      { ...toJsonFields(values as Readonly<Record<string, Value>>) },
    ]),
  )
}
