import { expect, test } from 'vitest'
import { FakeClock } from '../../mesh/fake-clock.ts'
import { Refill } from './progress.ts'

async function steady(refill: Refill, clock: FakeClock, counters: Counters): Promise<void> {
  for (let second = 0; second < 10; second += 1) {
    await clock.advance(1_000)
    counters.pulledFrames += 300
    counters.pulledBytes += 3_000
    refill.mark()
  }
}

interface Counters {
  pulledFrames: number
  pulledBytes: number
}

test('a refill tells how far it is, how fast it goes and how long it takes', async () => {
  const clock = new FakeClock()
  const counters = { pulledFrames: 50, pulledBytes: 500 }
  const refill = new Refill(clock, counters)
  expect(refill.progress()).toBeUndefined()
  refill.look(6_000)
  expect(refill.progress()).toEqual({
    pulledFrames: 0,
    framesLeft: 6_000,
    framesPerSecond: 0,
    bytesPerSecond: 0,
  })
  await steady(refill, clock, counters)
  expect(refill.progress()).toEqual({
    pulledFrames: 3_000,
    framesLeft: 3_000,
    framesPerSecond: 300,
    bytesPerSecond: 3_000,
    secondsLeft: 10,
  })
  // The next look finds more, which came meanwhile; it goes on.
  refill.look(3_500)
  expect(refill.progress()).toMatchObject({ pulledFrames: 3_000, framesLeft: 3_500 })
  counters.pulledFrames += 3_500
  expect(refill.progress()).toBeUndefined()
  // Another one begins anew.
  refill.look(0)
  refill.look(10)
  expect(refill.progress()).toMatchObject({ pulledFrames: 0, framesLeft: 10 })
})

test('a rate is that of the last seconds: while nothing comes it sinks', async () => {
  const clock = new FakeClock()
  const counters = { pulledFrames: 0, pulledBytes: 0 }
  const refill = new Refill(clock, counters)
  refill.look(6_000)
  await steady(refill, clock, counters)
  await clock.advance(60_000)
  expect(refill.progress()!.framesPerSecond).toBe(0)
  expect(refill.progress()!.secondsLeft).toBeUndefined()
})
