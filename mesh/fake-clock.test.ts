import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FakeClock } from './fake-clock.ts'
import { SeededRandom } from './seeded-random.ts'

describe('fake clock', () => {
  it('timers - fire in order of their time, equal ones in the order started', async () => {
    const property = fc.asyncProperty(
      fc.array(fc.nat({ max: 20 }), { maxLength: 40 }),
      async (delays) => {
        const clock = new FakeClock()
        const fired: [number, number][] = []
        for (const [index, delay] of delays.entries()) {
          clock.startTimer(delay, () => fired.push([clock.monotonicMs(), index]))
        }
        await clock.advance(20)
        const expected = delays
          .map((delay, index): [number, number] => [delay, index])
          .sort((a, b) => a[0] - b[0] || a[1] - b[1])
        expect(fired).toEqual(expected)
        expect(clock.pendingTimers()).toBe(0)
      },
    )
    await fc.assert(property, { numRuns: 50 })
  })

  it('a timer started by a timer - fires within the same advance', async () => {
    const clock = new FakeClock()
    const at: number[] = []
    const again = (): void => {
      at.push(clock.monotonicMs())
      clock.startTimer(10, again)
    }
    clock.startTimer(10, again)
    await clock.advance(35)
    expect(at).toEqual([10, 20, 30])
    expect(clock.monotonicMs()).toBe(35)
  })

  it('promises - settle before the next timer fires', async () => {
    const clock = new FakeClock()
    const order: string[] = []
    clock.startTimer(1, () => {
      void (async () => {
        await Promise.resolve()
        await Promise.resolve()
        order.push('promise of the first')
      })()
    })
    clock.startTimer(1, () => order.push('second'))
    await clock.advance(1)
    expect(order).toEqual(['promise of the first', 'second'])
  })

  it('cancel and a jump of the wall clock', async () => {
    const clock = new FakeClock(1_000_000)
    const timer = clock.startTimer(5, () => expect.unreachable())
    timer.cancel()
    timer.cancel()
    expect(clock.pendingTimers()).toBe(0)
    clock.jumpUs(-500_000)
    await clock.advance(10)
    timer.cancel()
    expect(clock.nowUs()).toBe(510_000)
    expect(clock.monotonicMs()).toBe(10)
  })
})

describe('seeded random', () => {
  it('the same seed - gives the same numbers, another one others', () => {
    const draw = (seed: number): number[] => {
      const random = new SeededRandom(seed)
      return Array.from({ length: 20 }, () => random.next())
    }
    expect(draw(7)).toEqual(draw(7))
    expect(draw(7)).not.toEqual(draw(8))
    expect(Buffer.from(new SeededRandom(3).bytes(16))).toEqual(
      Buffer.from(new SeededRandom(3).bytes(16)),
    )
  })

  it('numbers - are spread over [0, 1)', () => {
    const random = new SeededRandom(1)
    const buckets = Array.from({ length: 10 }, () => 0)
    for (let draw = 0; draw < 100_000; draw += 1) {
      const value = random.next()
      expect(value >= 0 && value < 1).toBe(true)
      buckets[Math.floor(value * 10)]! += 1
    }
    for (const count of buckets) expect(Math.abs(count - 10_000)).toBeLessThan(500)
  })

  it('fork() - does not repeat its parent', () => {
    const random = new SeededRandom(1)
    const child = random.fork()
    expect(child.next()).not.toBe(random.next())
  })
})
