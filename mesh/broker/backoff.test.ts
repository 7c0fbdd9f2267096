import { describe, expect, it } from 'vitest'
import { FakeClock } from '../fake-clock.ts'
import { SeededRandom } from '../seeded-random.ts'
import { Backoff } from './backoff.ts'

describe('Backoff', () => {
  it('waits - double up to the bound, vary, and begin again after reset()', async () => {
    const clock = new FakeClock()
    const backoff = new Backoff({ clock, random: new SeededRandom(1), firstMs: 100, mostMs: 1000 })
    const waited = async (leastMs?: number): Promise<number> => {
      const startedMs = clock.monotonicMs()
      const over = backoff.wait(leastMs).then(() => clock.monotonicMs() - startedMs)
      await clock.advance(10_000)
      return over
    }
    for (const expected of [100, 200, 400, 800, 1000, 1000]) {
      const ms = await waited()
      expect(ms).toBeGreaterThanOrEqual(expected * 0.75)
      expect(ms).toBeLessThanOrEqual(expected * 1.25)
    }
    backoff.reset()
    expect(await waited()).toBeLessThanOrEqual(125)
    expect(await waited(5000)).toBeGreaterThanOrEqual(3750)
  })

  it('stop() - ends the wait, and all later ones', async () => {
    const clock = new FakeClock()
    const backoff = new Backoff({ clock, random: new SeededRandom(1), firstMs: 100, mostMs: 1000 })
    const waiting = backoff.wait()
    backoff.stop()
    await waiting
    await backoff.wait()
  })
})
