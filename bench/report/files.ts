// Results on disk: the figures as JSON, and the page for people beside them.
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BenchError } from '../errors.ts'
import type { Result } from '../result.ts'
import { drawPage } from './html.ts'
import { shapeFault } from './result-shape.ts'

const VERSION = 1

export interface Written {
  /** Paths of the two files. */
  readonly json: string
  readonly html: string
}

/**
 * `2026-11-22T1130-latency.json` and `.html` in `directory`, which is made; the time is when the bench was
 * started, UTC. Whoever reads a file of that name finds it whole.
 */
export async function writeResult(result: Result, directory: string): Promise<Written> {
  const date = new Date(result.startedAt).toISOString().slice(0, 16).replace(':', '')
  const base = join(directory, `${date}-${result.scenario}`)
  const written = { json: `${base}.json`, html: `${base}.html` }
  await mkdir(directory, { recursive: true })
  // The figures first: a page can be drawn again.
  await writeWhole(written.json, `${JSON.stringify(result, null, 1)}\n`)
  await writeWhole(written.html, drawPage(result))
  return written
}

/** @throws BenchError BENCH_RESULT_INVALID when there is no file, or it is not one that writeResult wrote. */
export async function readResult(path: string): Promise<Result> {
  const invalid = (why: string, cause?: unknown): BenchError =>
    new BenchError('BENCH_RESULT_INVALID', `${path} ${why}`, { cause })
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw invalid(`cannot be read (${error.code})`, error)
  })
  let result: unknown
  try {
    result = JSON.parse(text)
  } catch (error) {
    throw invalid('is no result of the bench: it is not JSON', error)
  }
  const { version } = (result ?? {}) as { readonly version?: unknown }
  if (typeof version === 'number' && version !== VERSION) {
    throw invalid(`is a result of version ${version}; this bench reads version ${VERSION}`)
  }
  const fault = shapeFault(result)
  if (fault !== undefined) throw invalid(`is no result of the bench: ${fault}`)
  return result as Result
}

async function writeWhole(path: string, text: string): Promise<void> {
  const beside = `${path}.${process.pid}.tmp`
  try {
    await writeFile(beside, text, { flush: true })
    await rename(beside, path)
  } finally {
    await rm(beside, { force: true })
  }
}
