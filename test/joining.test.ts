// A store waits for the word of the others before it acknowledges (docs/delivery.md §8). It hears that
// word in announcements that say nothing else that is new: whoever observes the membership must be
// told all the same. (Found by membership.e2e.test.ts: stores started at one moment hung in every
// second try.)
import { expect, test } from 'vitest'
import { encodeAnnouncement } from '../mesh/announcement.ts'
import { FakeClock } from '../mesh/fake-clock.ts'
import { Membership } from '../mesh/membership.ts'
import type { PeerId, StoreId } from '../mesh/names.ts'
import { meshIdentity } from '../mesh/session.ts'
import { SeededRandom } from '../mesh/seeded-random.ts'
import { ScriptedBroker } from '../mesh/testing/scripted-broker.ts'

const SELF = 'aaaaaaaaaaaaaaaa' as StoreId
const FIRST = 'bbbbbbbbbbbbbbbb' as StoreId
const SECOND = 'cccccccccccccccc' as StoreId

test('an observer is told when only what a store says of the members has changed', async () => {
  const mesh = meshIdentity('joining', 2, 2)
  const clock = new FakeClock()
  const broker = new ScriptedBroker(clock, new SeededRandom(1))
  const transport = broker.transport()
  let changes = 0
  const membership = new Membership({
    mesh,
    transport,
    clock,
    seeds: [],
    onChange: () => (changes += 1),
  })
  await membership.start()

  const announce = async (storeId: StoreId, members: readonly StoreId[]): Promise<void> => {
    const self = { id: storeId as string as PeerId, storeId, incarnation: 1, joined: true }
    const { id, name: meshName, replicas, writeQuorum } = mesh
    const bytes = encodeAnnouncement({
      mesh: id,
      meshName,
      replicas,
      writeQuorum,
      self: {
        ...self,
        roles: ['storage'],
      },
      grantBytes: 1,
      known: [],
      members: new Map(members.map((member) => [member, 'member'])),
    })
    broker.carry('m/peers', bytes)
    await clock.advance(2)
  }
  await announce(FIRST, [FIRST, SECOND])
  await announce(SECOND, [FIRST, SECOND, SELF])
  const before = changes
  await announce(FIRST, [FIRST, SECOND, SELF])
  expect(changes).toBe(before + 1)
  await announce(FIRST, [FIRST, SECOND, SELF])
  expect(changes).toBe(before + 1)
  membership.stop()
})
