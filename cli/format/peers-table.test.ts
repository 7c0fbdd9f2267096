import { describe, expect, test } from 'vitest'
import type { PeerId, PeerView, StoreId, StoreView } from '../../mesh/index.ts'
import { plain } from './paint.ts'
import { peerRows, peersTable, type PeerRow } from './peers-table.ts'

const idOf = (n: number): string => n.toString(16).padStart(16, '0')

function store(n: number, more: Partial<StoreView> = {}): StoreView {
  return {
    storeId: `5${idOf(n).slice(1)}` as StoreId,
    peer: idOf(n) as PeerId,
    name: `s${n}`,
    http: `http://127.0.0.1:780${n}`,
    leaving: false,
    suspect: false,
    refusing: undefined,
    grantBytes: 1 << 20,
    ...more,
  }
}

function peerOf(n: number, more: Partial<PeerView> = {}): PeerView {
  const { storeId, name, http } = store(n)
  return {
    id: idOf(n) as PeerId,
    incarnation: 1,
    roles: ['storage'],
    storeId,
    name,
    http,
    transport: 'zeromq',
    links: 3,
    lagFrames: 0,
    suspect: false,
    heardMsAgo: 400.25,
    ...more,
  }
}

const aggregator = peerOf(9, {
  roles: ['aggregator'],
  name: 'windows',
  storeId: undefined,
  http: undefined,
  lagFrames: undefined,
})

const shardsOf = (rows: readonly PeerRow[]): number[] => rows.flatMap(({ shards }) => shards ?? [])
const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0)

describe('peerRows', () => {
  const peers = [aggregator, peerOf(2), peerOf(1), peerOf(3)]

  test('stores first, by name, with the shards they take: all of them R times', () => {
    const rows = peerRows({ replicas: 2 }, [store(3), store(1), store(2)], peers)
    expect(rows.map(({ name }) => name)).toEqual(['s1', 's2', 's3', 'windows'])
    expect(sum(shardsOf(rows))).toBe(2 * 64)
    expect(rows[3]).toMatchObject({ shards: undefined, lagFrames: undefined, storeId: undefined })
  })

  test('a suspect or refusing store - takes none, the others take all', () => {
    for (const fault of [{ suspect: true }, { refusing: 'its disk is full' }]) {
      const rows = peerRows({ replicas: 2 }, [store(1), store(2, fault), store(3)], peers)
      expect(shardsOf(rows)).toEqual([64, 0, 64])
    }
  })

  test('a leaving store is no candidate, and one that nobody has heard of is a row all the same', () => {
    const unheard = { peer: undefined, name: undefined, http: undefined, suspect: true }
    const rows = peerRows({ replicas: 1 }, [store(1, { leaving: true }), store(4, unheard)], peers)
    expect(rows.slice(0, 2)).toMatchObject([
      { name: 's1', state: 'leaving', shards: 0 },
      { name: undefined, state: 'suspect', lastSeenMs: undefined, transport: undefined },
    ])
  })

  test('last seen is in whole milliseconds', () => {
    const [row] = peerRows({ replicas: 1 }, [store(1)], peers)
    expect(row!.lastSeenMs).toBe(400)
  })
})

describe('peersTable', () => {
  test('a line for each, absent numbers as -', () => {
    const stores = [store(1), store(2, { suspect: true })]
    const peers = [
      peerOf(1, { lagFrames: 12_345 }),
      peerOf(2, { suspect: true, heardMsAgo: 125_000 }),
      { ...aggregator, links: undefined, transport: 'nats' },
    ]
    expect(peersTable(peerRows({ replicas: 1 }, stores, peers), plain)).toEqual([
      'name     role        state     last seen  transport  links  shards    lag  store             http',
      's1       storage     alive        0s ago  zeromq         3      64  12.3k  5000000000000001  http://127.0.0.1:7801',
      's2       storage     suspect  2m 05s ago  zeromq         3       0      0  5000000000000002  http://127.0.0.1:7802',
      'windows  aggregator  alive        0s ago  nats           -       -      -  -                 -',
    ])
  })

  test('how far a store has refilled stands below, in words', () => {
    const [row] = peerRows({ replicas: 1 }, [store(1)], [peerOf(1, { lagFrames: 67_600 })])
    const refill = { pulledFrames: 12_400, framesLeft: 67_600, framesPerSecond: 3_100.4 }
    const lines = (more: object): string[] =>
      peersTable([{ ...row!, refill: { ...refill, bytesPerSecond: 15.5e6, ...more } }], plain)
    expect(lines({ secondsLeft: 21.8 })[2]).toBe(
      's1 refilling: 12,400 of 80,000 frames, 3,100/s (14.8 MiB/s), about 22s left',
    )
    expect(lines({ framesPerSecond: 0 })[2]).toBe(
      's1 refilling: 12,400 of 80,000 frames, nothing comes just now',
    )
  })

  test('why a store refuses stands below, whole keys of a DHT are cut: 120 columns are enough', () => {
    const refusing = 'nats://127.0.0.1:4222 does not answer (connection refused); trying again'
    const http = `hyperswarm://${'0123456789abcdef'.repeat(4)}`
    const name = 'storage-12'
    const peer = peerOf(1, { transport: 'hyperswarm', links: 64, lagFrames: 1e6 })
    const lines = peersTable(
      peerRows({ replicas: 1 }, [store(1, { refusing, http, name })], [peer]),
      plain,
    )
    expect(lines).toHaveLength(3)
    expect(lines[1]).toMatch(/ refuses .* hyperswarm:\/\/01234567…$/)
    expect(lines[2]).toBe(`storage-12 refuses: ${refusing}`)
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(120)
  })
})
