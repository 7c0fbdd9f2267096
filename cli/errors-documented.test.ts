// Codes are public API: each one that the code can give is in docs/errors.md, and nothing else is.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { BENCH_ERROR_CODES } from '../bench/errors.ts'
import { MESH_ERROR_CODES } from '../mesh/index.ts'
import { NODE_ERROR_CODES } from '../nodes/errors.ts'
import { SIM_ERROR_CODES } from '../sim/errors.ts'
import { STORAGE_ERROR_CODES } from '../storage/errors.ts'
import { SYSTEM_ERROR_CODES } from '../systems/index.ts'
import { EXIT } from './exit-codes.ts'

const ROOT = join(import.meta.dirname, '..')
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

/** Codes of files that have no list of them. */
const codesIn = (pattern: RegExp, ...paths: string[]): string[] =>
  paths.flatMap((path) => read(path).match(pattern) ?? [])

const codes = new Set<string>([
  ...MESH_ERROR_CODES,
  ...STORAGE_ERROR_CODES,
  ...NODE_ERROR_CODES,
  ...SIM_ERROR_CODES,
  ...SYSTEM_ERROR_CODES,
  ...BENCH_ERROR_CODES,
  ...codesIn(
    /\bHTTP_[A-Z_]+\b/g,
    ...['http-errors.ts', 'server.ts', 'reply-stream.ts', 'peer-routes.ts', 'public-routes.ts'].map(
      (file) => join('storage', 'http', file),
    ),
  ),
  ...codesIn(/\bCLI_[A-Z_]+\b/g, 'cli/output.ts'),
])

const page = read('docs/errors.md')
/** The first cell of each row of a table. */
const rows = [...page.matchAll(/^\| `?([A-Z_0-9]+)`? \|/gm)].map(([, cell]) => cell!)
const documented = rows.filter((cell) => /[A-Z]/.test(cell))

describe('docs/errors.md', () => {
  it.each([...codes].sort())('%s - has a row', (code) => {
    expect(documented).toContain(code)
  })

  it('each row - is of a code that exists, and stands there once', () => {
    expect(documented.filter((code) => !codes.has(code))).toEqual([])
    expect(new Set(documented).size).toBe(documented.length)
  })

  it('exit codes - are all there', () => {
    const numbers = rows.filter((cell) => /^\d+$/.test(cell)).map(Number)
    expect(numbers).toEqual(Object.values(EXIT))
  })
})
