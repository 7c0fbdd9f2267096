import { afterEach, describe, expect, it } from 'vitest'
import { FakeClock } from './fake-clock.ts'
import { SeededRandom } from './seeded-random.ts'
import { meshIdentity, Session } from './session.ts'
import { ScriptedStore, TEST_MESH } from './testing/scripted-store.ts'
import { createMemoryNetwork } from './transports/memory-network.ts'

class World {
  readonly clock = new FakeClock()
  readonly random = new SeededRandom(11)
  readonly network = createMemoryNetwork({ clock: this.clock, random: this.random })
  readonly stores: ScriptedStore[] = []
  readonly sessions: Session[] = []
  readonly mismatches: string[] = []

  async store(
    endpoint: string,
    seeds: readonly string[],
    storeId?: ScriptedStore['storeId'],
  ): Promise<ScriptedStore> {
    const { network, clock, random } = this
    const store = new ScriptedStore({
      transport: network.transport({ meshId: TEST_MESH.id, endpoint }),
      clock,
      random,
      seeds,
      members: new Map(),
      ...(storeId !== undefined && { storeId }),
    })
    this.stores.push(store)
    await store.open()
    return store
  }

  async asker(seed: string, mesh = TEST_MESH): Promise<Session> {
    const session = new Session({
      mesh,
      clock: this.clock,
      random: this.random,
      seeds: [seed],
      transport: this.network.transport({
        meshId: TEST_MESH.id,
        endpoint: false,
      }),
      onMismatch: ({ meshName }) => this.mismatches.push(meshName),
    })
    this.sessions.push(session)
    await session.open()
    return session
  }

  async close(): Promise<void> {
    const open = [...this.sessions, ...this.stores.map(({ session }) => session)]
    await Promise.all([...open.map((session) => session.close()), this.clock.advance(5_000)])
  }
}

describe('membership', () => {
  let world: World

  afterEach(() => world.close())

  it('one seed is enough to learn all, whichever order they start in, the seed last', async () => {
    world = new World()
    const seeds = ['memory://seed']
    await world.store('memory://c', seeds)
    await world.store('memory://b', seeds)
    await world.clock.advance(5_000)
    await world.store('memory://seed', seeds)
    await world.clock.advance(5_000)
    const asker = await world.asker('memory://b')
    await world.clock.advance(3_000)
    const ids = world.stores.map(({ storeId }) => storeId).sort()
    for (const { session } of [...world.stores, { session: asker }]) {
      const known = session.membership.stores().filter(({ suspect }) => !suspect)
      const others = ids.filter((id) => known.some(({ storeId }) => storeId === id))
      expect(others.length).toBeGreaterThanOrEqual(session === asker ? 3 : 2)
    }
  })

  it('a store is alive to itself, from the start', async () => {
    world = new World()
    const { session, storeId } = await world.store('memory://1', ['memory://nobody'])
    const { peerId } = session.transport
    const alive = { storeId, peer: peerId, suspect: false, leaving: false }
    expect(session.membership.stores()).toMatchObject([alive])
    expect(session.membership.storeView(storeId)).toMatchObject(alive)
    await world.store('memory://2', ['memory://1'])
    await world.clock.advance(5_000)
    const suspects = session.membership.stores().map(({ suspect }) => suspect)
    expect(suspects).toEqual([false, false])
  })

  it('a store that is cut off is suspect at once where its link was, and alive again when it is back', async () => {
    world = new World()
    const first = await world.store('memory://1', [])
    const second = await world.store('memory://2', ['memory://1'])
    const asker = await world.asker('memory://1')
    await world.clock.advance(3_000)
    const suspect = (): boolean => asker.membership.storeView(second.storeId).suspect
    expect(suspect()).toBe(false)
    world.network.partition(asker.transport.peerId, second.session.transport.peerId)
    world.network.partition(first.session.transport.peerId, second.session.transport.peerId)
    await world.clock.advance(8_000)
    expect(suspect()).toBe(true)
    expect(asker.membership.storeView(first.storeId).suspect).toBe(false)
    world.network.heal()
    await world.clock.advance(8_000)
    expect(suspect()).toBe(false)
  })

  it('a disk that comes back under a new process is one store, served by the new process', async () => {
    world = new World()
    await world.store('memory://1', [])
    const before = await world.store('memory://2', ['memory://1'])
    const asker = await world.asker('memory://1')
    await world.clock.advance(3_000)
    await Promise.all([before.session.close(), world.clock.advance(1_500)])
    const after = await world.store('memory://2b', ['memory://1'], before.storeId)
    await world.clock.advance(3_000)
    const views = asker.membership.stores().filter(({ storeId }) => storeId === before.storeId)
    expect(views).toHaveLength(1)
    expect(views[0]).toMatchObject({ peer: after.session.transport.peerId, suspect: false })
  })

  it('a mesh with other replicas is not talked to, and that is said once', async () => {
    world = new World()
    await world.store('memory://1', [])
    const asker = await world.asker('memory://1', meshIdentity('test', 3, 2))
    await world.clock.advance(5_000)
    expect(asker.membership.stores()).toEqual([])
    expect(world.mismatches).toEqual(['test'])
  })
})
