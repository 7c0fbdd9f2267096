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
  const fields = JSON.stringify(toJsonFields(row.fields))
  // Put together here: a fleet has ten thousand rows, and most of each needs no escaping.
  return (
    `{"time":"${time}","timeUs":${timeUs},"source":${JSON.stringify(source)},"fields":${fields},` +
    `"epoch":"${epoch}","sequence":${sequence},"index":${index}}`
  )
}

function aggregatesJson(fields: BucketRow['fields']): Record<string, Record<string, JsonValue>> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, values]) => [
      name,
      { ...toJsonFields(values as Readonly<Record<string, Value>>) },
    ]),
  )
}
