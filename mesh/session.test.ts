import { expect, test, vi } from 'vitest'
import { FakeClock } from './fake-clock.ts'
import { SeededRandom } from './seeded-random.ts'
import { Session } from './session.ts'
import { ScriptedStore, TEST_MESH } from './testing/scripted-store.ts'
import { createMemoryNetwork } from './transports/memory-network.ts'

test('a publisher or subscriber that is closed is let go', async () => {
  const clock = new FakeClock()
  const random = new SeededRandom(3)
  const network = createMemoryNetwork({ clock, random })
  const session = new Session({
    mesh: TEST_MESH,
    clock,
    random,
    seeds: ['memory://1'],
    transport: network.transport({ meshId: TEST_MESH.id, endpoint: false }),
  })
  await session.open()
  const [gone, kept] = [await session.publisher(), await session.publisher()]
  const subscriber = await session.subscriber({ onFrames: () => undefined })
  await Promise.all([gone.close(), subscriber.close(), clock.advance(100)])

  const toldGone = vi.spyOn(gone, 'membershipChanged')
  const toldKept = vi.spyOn(kept, 'membershipChanged')
  const closedAgain = vi.spyOn(subscriber, 'close')
  const members = new Map()
  const transport = network.transport({ meshId: TEST_MESH.id, endpoint: 'memory://1' })
  const store = new ScriptedStore({ transport, clock, random, members })
  await store.open()
  await clock.advance(2_500)
  expect(toldKept).toHaveBeenCalled()
  expect(toldGone).not.toHaveBeenCalled()
  await Promise.all([session.close(), store.session.close(), clock.advance(20_000)])
  expect(closedAgain).not.toHaveBeenCalled()
})
