import { expect, it } from 'vitest'
import type { Load } from '../load.ts'
import type { Options } from '../options.ts'
import type { Cell } from '../run/run.ts'
import { late } from './late.ts'
import { outage } from './outage.ts'
import type { Context, Scenario } from './scenario.ts'

/** What a scenario would run first. */
async function firstLoad(scenario: Scenario, options: Partial<Options>): Promise<Load> {
  let first: Cell | undefined
  const runner = {
    runs: [],
    async blocks([group]: readonly (readonly Cell[])[]) {
      first = group![0]
    },
  }
  const given = { seed: 1, compress: false, quick: false, ...options }
  await scenario.measure({ options: given, runner, systems: ['skein'] } as unknown as Context)
  return first!.load
}

it('a late joiner has a minute of history to read', async () => {
  expect(await firstLoad(late, {})).toMatchObject({ warmupSeconds: 60, seconds: 15 })
  expect(await firstLoad(late, { quick: true })).toMatchObject({ warmupSeconds: 10 })
  expect(await firstLoad(late, { seconds: 0.5 })).toMatchObject({ warmupSeconds: 0.5 })
})

it('an outage comes under load that has run a while, and the load outlasts it', async () => {
  expect(await firstLoad(outage, {})).toMatchObject({ warmupSeconds: 3, seconds: 18 })
  expect(await firstLoad(outage, { seconds: 0.5 })).toMatchObject({ seconds: 8.5 })
})
