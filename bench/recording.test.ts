import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { messageDecoder, messageEncoder } from './messages.ts'
import { readingsOf } from './readings.ts'
import { recordingInUse, useRecording } from './recording.ts'

const directory = mkdtempSync(join(tmpdir(), 'skein-recording-test-'))
afterAll(() => rmSync(directory, { recursive: true }))

const HEAD = 'vehicle_id,timestamp,speed,route_id,trip_id,latitude,longitude,trip_headsign'
const ROWS = [
  '2228,2016-11-24T00:00:51-06:00,12.96416,1,1669531,30.20585,-97.774315,1-Metric',
  '2228,2016-11-24T00:04:51-06:00,0.0,1,1669531,30.190725,-97.77128,1-Metric',
  '2228,2016-11-24T00:05:51-06:00,0.0,1,1669531,30.190725,-97.77128,',
  '2301,2016-11-24T00:05:51-06:00,2.2352,7,1669532,30.25,-97.75,7-Duval',
]
const BASE_US = 1_790_000_000_000_000

function recorded(name: string, lines: readonly string[]): string {
  const file = join(directory, name)
  writeFileSync(file, `${lines.join('\n')}\n`)
  return file
}

it('gives the rows of a file in turn, to more sources than it has, in every form', async () => {
  const file = recorded('buses.csv', [HEAD, ...ROWS])
  {
    await using used = await useRecording(file, 'capmetro-2016')
    expect(used.note).toContain('2 sources')
    const { sources, samples } = readingsOf({ readings: 'recording', sources: 3, seed: 1 }, BASE_US)
    expect(sources).toEqual(['bus-2228', 'bus-2301', 'bus-2228-2'])
    const three = samples(0, 0, 3)
    expect(three.map(({ fields }) => fields['latitude'])).toEqual([30.20585, 30.190725, 30.20585])
    for (const form of ['frame', 'json'] as const) {
      const bytes = messageEncoder(form, 'bench', sources)(0, three.slice(0, 1))
      expect(messageDecoder(form)(bytes)).toHaveLength(1)
    }
  }
  expect(recordingInUse()).toBeUndefined()
})

it.each([
  ['a file that is not there', () => join(directory, 'none.csv'), 'capmetro-2016', /none\.csv/],
  ['a mapping that is not there', () => recorded('a.csv', [HEAD]), 'capmetro-16', /capmetro-2016/],
  ['a file without rows', () => recorded('b.csv', [HEAD]), 'capmetro-2016', /no row/],
  ['a file of something else', () => recorded('c.csv', ['a,b', '1,2']), 'capmetro-2016', /column/],
])('%s is refused', async (_, file, mapping, words) => {
  await expect(useRecording(file(), mapping)).rejects.toMatchObject({
    code: 'BENCH_RECORDING_INVALID',
    message: expect.stringMatching(words) as string,
  })
})
