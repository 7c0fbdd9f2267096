// The tables in a block: each is a body of the columnar codec, its rows are samples, and what stands
// in place of a sample's time is said here. So a reader of frames can read them, and numbers that go
// on in even steps, as sequences and event times do, take no room.
import {
  codecFor,
  columnarTimes,
  MeshError,
  NO_SCHEMA,
  type Sample,
  type Schema,
} from '../../../mesh/index.ts'

const columnar = codecFor('columnar')

/** A row for each frame, by sequence, which stands as its time. */
export const FRAME_TABLE = tableSchema([
  /** Length of a frame that is kept verbatim. */
  'bytes',
  /** Samples of a frame that is kept as columns; a frame has this or `bytes`. */
  'count',
  /** Ingest time less last event time, µs: smaller than either, and more even. */
  'delay',
])

/** A row for each check; the bytes of the frames it covers stand as its time. */
export const CHECK_TABLE = tableSchema(['check'])

/** A row for each sample, with its time and nothing else. */
export const TIME_TABLE = tableSchema([])

/** The names of a table's columns: in its bytes they are known by their place here. */
export function tableSchema(fields: readonly string[]): Schema {
  return { id: NO_SCHEMA, json: {}, fields, inferred: true, validate: () => undefined }
}

/** The rows' bytes, a copy. */
export function encodeRows(rows: readonly Sample[], schema: Schema): Buffer {
  return Buffer.from(columnar.encode(rows, schema))
}

/** Undefined when the body does not hold such rows. */
export function decodeRows(body: Buffer, count: number, schema: Schema): Sample[] | undefined {
  return unlessCorrupt(() => columnar.decode(body, count, schema))
}

/** What stands in place of times alone. Undefined when the body does not hold so many. */
export function decodeTimes(body: Buffer, count: number): Float64Array | undefined {
  return unlessCorrupt(() => columnarTimes(body, count))
}

function unlessCorrupt<T>(decode: () => T): T | undefined {
  try {
    return decode()
  } catch (error) {
    if (error instanceof MeshError && error.code === 'MESH_BODY_CORRUPT') return undefined
    throw error
  }
}
