import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseMapping } from './mapping.ts'
import { replayFile, type Replay, type ReplayFrame, type ReplayOptions } from './replay.ts'
import type { RowRefusal } from './rows.ts'

const MAPPING_TEXT = `
stream: t
format: csv
source: { column: id }
time: { column: at, format: epoch_s }
fields: [{ column: v, field: v, type: number }]
`
const MAPPING = parseMapping(MAPPING_TEXT)
// Grouped by source, as real recordings often are: all of A's hour, then all of B's.
const ROWS = ['A', 'B'].flatMap((id) =>
  Array.from({ length: 60 }, (_, minute) => `${id},${1000 + minute * 60},${minute}`),
)
const TEXT = `id,at,v\n${ROWS.join('\n')}\nA,oops,1\nB,oops,1\nB,1,-\n`

let folder = ''
let file = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'skein-replay-test-'))
  file = join(folder, 'r.csv')
  await writeFile(file, TEXT)
})
afterAll(() => rm(folder, { recursive: true }))

async function played(more: Partial<ReplayOptions> = {}) {
  const replay = await replayFile({ file, mapping: MAPPING, codec: 'columnar', ...more })
  return { replay, ...(await collect(replay)) }
}

async function collect(replay: Replay) {
  const frames: ReplayFrame[] = []
  const refusals: RowRefusal[] = []
  for await (const item of replay) {
    if (item.kind === 'frame') frames.push(item)
    else refusals.push(item)
  }
  return { frames, refusals }
}

describe('replay', () => {
  test('the same file twice gives the same frames and epoch', async () => {
    const [one, two] = [await played(), await played()]
    expect(two.replay.epoch).toBe(one.replay.epoch)
    expect(one.replay.epoch).toMatch(/^[0-9a-f]{16}$/)
    expect(two.frames).toEqual(one.frames)
  })

  test('another mapping, codec, cut, file or salt is another epoch; layout and comments are not', async () => {
    const other = join(folder, 'other.csv')
    await writeFile(other, `${TEXT}A,99,9\n`)
    const epochs = [
      played(),
      played({ mapping: parseMapping(MAPPING_TEXT.replace('field: v', 'field: w')) }),
      played({ codec: 'json' }),
      played({ samplesMax: 5 }),
      played({ file: other }),
      played({ salt: Uint8Array.of(1, 2, 3) }),
      played({ salt: Uint8Array.of(1, 2, 4) }),
    ].map(async (play) => (await play).replay.epoch)
    expect(new Set(await Promise.all(epochs)).size).toBe(7)
    const same = parseMapping(`# moved\nformat: csv\n${MAPPING_TEXT.replace('format: csv', '')}`)
    expect((await played({ mapping: same })).replay.epoch).toBe(await epochs[0])
  })

  test('counts what was read, refused by column and fault, and when', async () => {
    const { replay, refusals, frames } = await played()
    expect(refusals.map(({ row }) => row)).toEqual([122, 123, 124])
    expect(replay.counts).toEqual({
      rows: 123,
      samples: 120,
      frames: frames.length,
      refused: 3,
      refusedBy: { 'at: not a time': 2, 'v: not a number': 1 },
      sources: 2,
      firstUs: 1_000_000_000,
      lastUs: 4_540_000_000,
    })
  })

  test('strict stops at the first refused row and says which', async () => {
    await expect(played({ strict: true })).rejects.toMatchObject({
      code: 'SIM_ROW_REFUSED',
      message: `${file}:122: at "oops" is not a number of time units`,
    })
  })

  test('in recorded order frames are the same, sources advance together, and the spool goes', async () => {
    const spoolFolder = await mkdtemp(join(folder, 'spool-'))
    const [filed, recorded] = [await played(), await played({ order: 'recorded', spoolFolder })]
    const names = ({ source, index, samples }: ReplayFrame) => ({ source, index, samples })
    const sorted = (frames: readonly ReplayFrame[]) =>
      frames.map(names).sort((a, b) => a.source.localeCompare(b.source) || a.index - b.index)
    expect(sorted(recorded.frames)).toEqual(sorted(filed.frames))
    expect(recorded.replay.epoch).toBe(filed.replay.epoch)
    expect(recorded.frames.slice(0, 4).map(({ source }) => source)).toEqual(['A', 'B', 'A', 'B'])
    // In file order B's whole hour is due at the end of A's.
    const dues = (frames: readonly ReplayFrame[]) => new Set(frames.map(({ offsetUs }) => offsetUs))
    expect(dues(filed.frames).size).toBe(recorded.frames.length / 2)
    expect(Math.max(...dues(recorded.frames))).toBe(59 * 60e6)
    expect(await readdir(spoolFolder)).toEqual([])
  })

  test('a file that changed since it was hashed is noticed before its last frames leave', async () => {
    const changing = join(folder, 'changing.csv')
    await writeFile(changing, TEXT)
    const replay = await replayFile({ file: changing, mapping: MAPPING, codec: 'json' })
    await writeFile(changing, `${TEXT}A,99,9\n`)
    await expect(collect(replay)).rejects.toMatchObject({ code: 'SIM_FILE_CHANGED' })
  })

  test('a file that is not there, or is a folder, is said to be unreadable', async () => {
    for (const missing of ['/no/such.csv', folder]) {
      await expect(played({ file: missing })).rejects.toMatchObject({ code: 'SIM_FILE_NOT_FOUND' })
    }
  })
})
