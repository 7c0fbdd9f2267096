// The layer rule (docs/architecture.md §10) is kept by lint: this plants imports that break it, one per
// border, and expects lint to say so. Without the rule every case here fails.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '..')
const OXLINT = join(ROOT, 'node_modules', '.bin', 'oxlint')
const run = promisify(execFile)

const BORDERS = [
  ['mesh', '../../storage/index.ts'],
  ['storage', '../../nodes/index.ts'],
  ['storage', '../../mesh/frame.ts'],
  ['nodes', '../../sim/index.ts'],
  ['nodes', '../../storage/writer.ts'],
  ['sim', '../../cli/output.ts'],
  ['cli', '../../bench/smoke.ts'],
  ['cli', '../../systems/start.ts'],
  ['sim', '../../systems/index.ts'],
  ['systems', '../../mesh/index.ts'],
] as const

const planted: string[] = []

/** What lint says of a file in `folder` that imports `path`. */
async function lint(folder: string, path: string): Promise<string> {
  const directory = mkdtempSync(join(ROOT, folder, 'planted-'))
  planted.push(directory)
  const file = join(directory, 'planted.ts')
  writeFileSync(file, `import * as other from '${path}'\nexport const planted = other\n`)
  try {
    return (await run(OXLINT, ['--config', join(ROOT, '.oxlintrc.json'), file])).stdout
  } catch (error) {
    return (error as { stdout: string }).stdout
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

afterAll(() => {
  for (const directory of planted) rmSync(directory, { recursive: true, force: true })
})

describe('lint keeps the layers apart', () => {
  test.each(BORDERS)('%s must not import %s', async (folder, path) => {
    expect(await lint(folder, path)).toContain('no-restricted-imports')
  })

  test('what is allowed passes', async () => {
    expect(await lint('storage', '../../mesh/index.ts')).not.toContain('no-restricted-imports')
  })
})
