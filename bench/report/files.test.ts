import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readResult, writeResult } from './files.ts'
import { drawPage } from './html.ts'
import { exampleResult } from './testing.ts'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'skein-results-'))
})

afterEach(async () => {
  await rm(directory, { recursive: true })
})

describe('writeResult', () => {
  it('two files - named by start and scenario, in a directory that is made, nothing beside them', async () => {
    const result = exampleResult()
    const out = join(directory, 'new', 'results')
    const written = await writeResult(result, out)
    expect(written).toEqual({
      json: join(out, '2026-11-22T1130-latency.json'),
      html: join(out, '2026-11-22T1130-latency.html'),
    })
    expect((await readdir(out)).sort()).toEqual([
      '2026-11-22T1130-latency.html',
      '2026-11-22T1130-latency.json',
    ])
    expect(await readFile(written.html, 'utf8')).toBe(drawPage(result))
  })

  it('a result that is written again - takes the place of the first', async () => {
    await writeResult(exampleResult({ isComplete: false }), directory)
    const { json } = await writeResult(exampleResult(), directory)
    expect((await readResult(json)).isComplete).toBe(true)
    expect(await readdir(directory)).toHaveLength(2)
  })
})

describe('readResult', () => {
  it('what was written - comes back, and draws the same page', async () => {
    const result = exampleResult()
    const { json, html } = await writeResult(result, directory)
    const read = await readResult(json)
    expect(read).toEqual(JSON.parse(JSON.stringify(result)))
    expect(drawPage(read)).toBe(await readFile(html, 'utf8'))
  })

  it('figures that are none - come back as such', async () => {
    const { report, ...rest } = exampleResult()
    const table = {
      columns: [{ name: 'a' }, { name: 'b' }],
      rows: [
        ['x', undefined],
        ['y', Number.NaN],
      ],
    }
    const sections = [{ title: 't', finding: 'f', tables: [table] }]
    const result = { ...rest, report: { ...report, sections } }
    const { json, html } = await writeResult(result, directory)
    expect(drawPage(await readResult(json))).toBe(await readFile(html, 'utf8'))
  })

  it.each([
    ['{', /is no result of the bench: it is not JSON/],
    ['null', /is no result of the bench: .*expected object/],
    ['{"name": "skein"}', /is no result of the bench: version/],
    ['{"version": 2}', /is a result of version 2; this bench reads version 1/],
    [
      JSON.stringify({ ...exampleResult(), runs: [{ cell: 'skein' }] }),
      /is no result of the bench: runs\.0\.block/,
    ],
  ])('%.40s - is refused, with the reason', async (text, reason) => {
    const path = join(directory, 'some.json')
    await writeFile(path, text)
    await expect(readResult(path)).rejects.toMatchObject({
      code: 'BENCH_RESULT_INVALID',
      message: expect.stringMatching(reason),
    })
  })

  it('no file - is refused', async () => {
    await expect(readResult(join(directory, 'none.json'))).rejects.toMatchObject({
      code: 'BENCH_RESULT_INVALID',
      message: expect.stringContaining('none.json cannot be read (ENOENT)'),
    })
  })
})
