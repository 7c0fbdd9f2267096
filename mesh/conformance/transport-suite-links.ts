// Links: up, down, cut, killed, refused. Peer-to-peer transports only. Part of transport-suite.ts.
import { expect } from 'vitest'
import type { LinkEvent, PeerTransport } from '../transport.ts'
import { eventually } from './eventually.ts'
import type { Cases } from './transport-rig.ts'
import {
  Collector,
  OTHER_MESH,
  arrives,
  linkedBoth,
  numbers,
  publishAll,
  received,
  subscribed,
  text,
} from './transport-rig.ts'

function linkEvents(transport: PeerTransport): LinkEvent[] {
  const events: LinkEvent[] = []
  transport.onLink((event) => events.push(event))
  return events
}

const invalid = expect.objectContaining({ code: 'MESH_ADDRESS_INVALID' })

export function linkCases(cases: Cases): void {
  cases.links('up and down - told once on both sides', async (rig) => {
    const [a, b] = [await rig.openPeer(), await rig.openPeer()]
    const [atA, atB] = [linkEvents(a), linkEvents(b)]
    a.link(b.endpoint!)
    a.link(b.endpoint!)
    await linkedBoth(a, b)
    a.unlink(b.endpoint!)
    a.unlink(b.endpoint!)
    await eventually(() => atA.length === 2 && atB.length === 2, { what: 'up and down' })
    expect(atA).toEqual([
      { peer: b.peerId, up: true },
      { peer: b.peerId, up: false },
    ])
    expect(atB).toEqual([
      { peer: a.peerId, up: true },
      { peer: a.peerId, up: false },
    ])
    expect(a.linked().size + b.linked().size).toBe(0)
    a.link(b.endpoint!)
    await linkedBoth(a, b)
  })

  cases.links('two links to one peer - deliver once', async (rig) => {
    const [a, b] = await rig.peerPair()
    const [atA, atB] = [linkEvents(a), linkEvents(b)]
    const toA = await subscribed(a, 't/1/x', b, 't/1/x')
    const toB = await subscribed(b, 't/1/x', a, 't/1/x')
    b.link(a.endpoint!)
    // Before, while and after the second link comes up.
    for (let round = 1; round <= 30; round += 1) {
      await publishAll(a, 't/1/x', numbers(20))
      await publishAll(b, 't/1/x', numbers(20))
      await publishAll(a, 't/1/x', numbers(20), b.peerId)
      await received(toA, round * 20)
      await received(toB, round * 40)
    }
    // It was up: without the first one they are still linked.
    a.unlink(b.endpoint!)
    await publishAll(a, 't/1/x', numbers(20))
    await received(toB, 1220)
    expect([toA.messages.length, toB.messages.length]).toEqual([600, 1220])
    expect([...atA, ...atB]).toEqual([])
  })

  cases.links('two links to one peer - when one goes, the other carries on', async (rig) => {
    const [a, b] = await rig.peerPair()
    const got = await subscribed(b, 't/1/x', a, 't/1/x')
    const back = await subscribed(a, 't/2/x', b, 't/2/x')
    b.link(a.endpoint!)
    // Both links are up once taking the first away leaves the peers linked.
    await eventually(
      async () => {
        const events = linkEvents(a)
        a.unlink(b.endpoint!)
        await arrives(a, 't/1/x', got)
        if (events.length === 0) return true
        a.link(b.endpoint!)
        await linkedBoth(a, b)
        return false
      },
      { what: 'the second link' },
    )
    await arrives(b, 't/2/x', back)
    await publishAll(a, 't/1/x', numbers(100))
    await publishAll(b, 't/2/x', numbers(100))
    await received(got, 100)
    await received(back, 100)
    expect(got.texts()).toEqual([...numbers(100)].map(String))
  })

  cases.links('nobody there yet - link() keeps trying and never throws', async (rig) => {
    const endpoint = await rig.harness.freeEndpoint!()
    const a = await rig.openPeer()
    a.link(endpoint)
    await a.flush()
    expect(a.linked().size).toBe(0)
    const b = await rig.openPeer({ endpoint })
    expect(b.endpoint).toBe(endpoint)
    await linkedBoth(a, b)
  })

  cases.links('link cut - down at once, back by itself, subscriptions too', async (rig) => {
    const [a, b] = [await rig.openPeer(), await rig.openPeer()]
    const path = await rig.harness.breakable!(a, b)
    a.link(path.endpoint)
    await linkedBoth(a, b)
    const got = await subscribed(b, 't/1/x', a, 't/1/x')
    const back = await subscribed(a, 't/2/x', b, 't/2/x')
    const events = linkEvents(a)
    path.cut()
    await eventually(() => events.length >= 2, { what: 'down and up' })
    expect(events.slice(0, 2).map(({ up }) => up)).toEqual([false, true])
    await arrives(a, 't/1/x', got)
    await arrives(b, 't/2/x', back)
    await publishAll(a, 't/1/x', numbers(100))
    await received(got, 100)
    expect(got.texts()).toEqual([...numbers(100)].map(String))
  })

  cases.links(
    'peer killed and restarted - is seen to go and comes back as another',
    async (rig) => {
      const a = await rig.openPeer()
      const events = linkEvents(a)
      const answers = new Collector()
      await a.subscribe('answer/*', answers.onBatch)
      const first = await rig.spawnPeer()
      a.link(first.endpoint)
      await eventually(() => a.linked().has(first.peerId), { what: 'the first life linked' })
      await eventually(
        () => {
          a.publish('ask/1', text('first'))
          return answers.messages.length > 0
        },
        { what: 'an answer of the first life', everyMs: 20 },
      )
      await first.kill()
      await eventually(() => !a.linked().has(first.peerId), { what: 'the first life gone' })
      expect(a.publish('ask/1', text('gone'), first.peerId)).toBe(false)

      const second = await rig.spawnPeer(first.endpoint)
      expect(second.peerId).not.toBe(first.peerId)
      await eventually(() => a.linked().has(second.peerId), { what: 'the second life linked' })
      answers.messages.length = 0
      await eventually(
        () => {
          a.publish('ask/1', text('second'))
          return answers.texts().includes('second')
        },
        { what: 'an answer of the second life', everyMs: 20 },
      )
      expect(answers.messages.at(-1)!.from).toBe(second.peerId)
      expect(events).toEqual([
        { peer: first.peerId, up: true },
        { peer: first.peerId, up: false },
        { peer: second.peerId, up: true },
      ])
    },
  )

  cases.links('dialler gone - a peer that only listens notices', async (rig) => {
    const [a, b] = await rig.peerPair()
    await a.close()
    await eventually(() => b.linked().size === 0, { what: 'the listener to notice' })
    expect(b.publish('t/1', text('x'), a.peerId)).toBe(false)
  })

  cases.links('another mesh - is not linked, counted each time, and told once', async (rig) => {
    const told: string[] = []
    const a = await rig.openPeer({ onOtherMesh: (meshId) => told.push(meshId) })
    const stranger = await rig.openPeer({ meshId: OTHER_MESH })
    stranger.link(a.endpoint!)
    await eventually(() => a.counters().rejectedMessages > 1, {
      what: 'the hello to be rejected again',
    })
    expect(a.linked().size + stranger.linked().size).toBe(0)
    expect(told).toEqual([OTHER_MESH])
  })

  cases.links('its own endpoint - links to nobody', async (rig) => {
    const [a, b] = await rig.peerPair()
    b.link(b.endpoint!)
    const got = await subscribed(b, 't/1', a, 't/1')
    await publishAll(a, 't/1', numbers(10))
    await received(got, 10)
    expect([...b.linked()]).toEqual([a.peerId])
  })

  cases.links('an endpoint in use - is refused with MESH_ADDRESS_IN_USE', async (rig) => {
    const a = await rig.openPeer()
    const second = await rig.harness.create({ endpoint: a.endpoint! })
    await expect(second.open()).rejects.toEqual(
      expect.objectContaining({ code: 'MESH_ADDRESS_IN_USE', retryable: true }),
    )
    await second.close()
    const b = await rig.openPeer()
    await rig.connect(b, a)
  })

  cases.links('a malformed address - is refused with MESH_ADDRESS_INVALID', async (rig) => {
    const a = await rig.openPeer()
    for (const address of rig.harness.invalidAddresses!) {
      expect(() => a.link(address)).toThrow(invalid)
      const other = await rig.harness.create({ endpoint: address })
      await expect(other.open()).rejects.toEqual(invalid)
      await other.close()
    }
  })

  cases.links('link() and unlink() - on a closed transport', async (rig) => {
    const [a, b] = await rig.peerPair()
    const endpoint = b.endpoint!
    await a.close()
    expect(() => a.link(endpoint)).toThrow(
      expect.objectContaining({ code: 'MESH_TRANSPORT_CLOSED' }),
    )
    a.unlink(endpoint)
    expect(a.linked().size).toBe(0)
  })
}
