// Readings that somebody recorded, in place of simulated ones: the file is read once, and what a run uses of
// it is written where all of its processes find it.
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Fields, JsonSchema } from '../mesh/index.ts'
import { loadMapping, mappingPath, mappingSchema, readRows, SimError } from '../sim/index.ts'
import { BenchError } from './errors.ts'

/** Names the file, to this process and those it starts. */
const PLACE = 'BENCH_RECORDING'
/** Rows of a source that are used, in turn. */
const ROWS_EACH_MAX = 256

export interface Recording {
  readonly schema: JsonSchema
  readonly sources: readonly { readonly name: string; readonly rows: readonly Fields[] }[]
}

export interface UsedRecording extends AsyncDisposable {
  /** What it is, in words. */
  readonly note: string
}

/**
 * Reads a recorded file by a mapping that comes with Skein, or one in a file, and has runs use it.
 * @throws BenchError BENCH_RECORDING_INVALID.
 */
export async function useRecording(file: string, mapping: string): Promise<UsedRecording> {
  const recording = await read(file, mapping).catch((error: unknown) => {
    if (!(error instanceof SimError)) throw error
    throw new BenchError('BENCH_RECORDING_INVALID', error.message, { cause: error })
  })
  const { length } = recording.sources
  if (length === 0) {
    const why = `${file} has no row with all fields of ${mapping}`
    throw new BenchError('BENCH_RECORDING_INVALID', why)
  }
  const directory = await mkdtemp(join(tmpdir(), 'skein-bench-recording-'))
  process.env[PLACE] = join(directory, 'recording.json')
  await writeFile(process.env[PLACE], JSON.stringify(recording))
  return {
    note: `readings are of ${file} by ${mapping}: ${length} sources, used in turn`,
    async [Symbol.asyncDispose]() {
      delete process.env[PLACE]
      current = undefined
      await rm(directory, { recursive: true })
    },
  }
}

let current: Recording | undefined

/** Undefined where the readings are simulated. */
export function recordingInUse(): Recording | undefined {
  const place = process.env[PLACE]
  if (place === undefined) return undefined
  current ??= JSON.parse(readFileSync(place, 'utf8')) as Recording
  return current
}

/** Rows with all fields: a run's samples are all of one schema. */
async function read(file: string, mappingName: string): Promise<Recording> {
  const path = mappingName.endsWith('.yaml') ? mappingName : mappingPath(mappingName)
  const mapping = await loadMapping(path)
  const rows = new Map<string, Fields[]>()
  for await (const row of readRows({ file, mapping })) {
    if (row.kind !== 'row' || Object.keys(row.sample.fields).length < mapping.fields.length)
      continue
    const of = rows.get(row.source)
    if (of === undefined) rows.set(row.source, [row.sample.fields])
    else if (of.length < ROWS_EACH_MAX) of.push(row.sample.fields)
  }
  const sources = [...rows].map(([name, of]) => ({ name, rows: of }))
  return { schema: mappingSchema(mapping), sources }
}
