// The routes over real sockets, with stores in memory.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { schemaFrame, shardOf, systemClock, type Sample } from '../../mesh/index.ts'
import type { Coverage } from '../coverage.ts'
import { dataFrame, epochOf, collect, schema, STREAM, T0 } from '../query/test-mesh.ts'
import { PeerClient } from './peer-client.ts'
import { HttpMesh } from './test-server.ts'

const SIGNAL = new AbortController().signal
const FRAMES = [1, 2, 3].map((sequence) =>
  dataFrame({ source: 'VH001', epoch: epochOf(1), sequence }, samplesFrom(sequence * 10)),
)

let mesh: HttpMesh

beforeEach(async () => {
  mesh = await HttpMesh.start(3)
})
afterEach(async () => {
  await mesh[Symbol.asyncDispose]()
})

describe('POST /v1/query', () => {
  test('any peer answers for all: rows of one source that lie on two stores', async () => {
    await mesh.stores[0]!.hold(FRAMES.slice(0, 2))
    await mesh.stores[1]!.hold(FRAMES.slice(1))
    const response = await mesh.request(2, '/v1/query', { kind: 'range', stream: STREAM })
    expect(response.headers.get('content-type')).toMatch('application/json')
    const { rows, coverage } = (await response.json()) as { rows: object[]; coverage: Coverage }
    expect(rows).toHaveLength(6)
    expect(rows[0]).toEqual({
      time: '2025-07-06T12:00:10.000000Z',
      timeUs: T0 + 10_000_000,
      source: 'VH001',
      fields: { speed: 10 },
      epoch: epochOf(1),
      sequence: 1,
      index: 0,
    })
    expect(coverage).toMatchObject({
      complete: true,
      members: 3,
      answered: 3,
      needed: 2,
      frames: 3,
    })
  })

  test('application/x-ndjson gives a row per line and the coverage last', async () => {
    await mesh.stores[0]!.hold(FRAMES)
    const query = { kind: 'range', stream: STREAM, limit: 2, order: 'desc' }
    const accept = { accept: 'application/x-ndjson' }
    const text = await (await mesh.request(0, '/v1/query', query, accept)).text()
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object)
    expect(lines).toMatchObject([{ sequence: 3, index: 1 }, { sequence: 3, index: 0 }, {}])
    expect(lines[2]).toMatchObject({ coverage: { complete: true } })
  })

  test('NaN, the infinities and -0 are spelled out, and arrive as they were stored', async () => {
    const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 5e-324, 0.1]
    const samples = odd.map((speed, i): Sample => ({ timeUs: T0 + i, fields: { speed } }))
    await mesh.stores[1]!.hold([
      dataFrame({ source: 'VH1', epoch: epochOf(1), sequence: 1 }, samples),
    ])
    const response = await mesh.request(0, '/v1/query', { kind: 'range', stream: STREAM })
    const { rows } = (await response.json()) as { rows: { fields: object }[] }
    expect(rows.map(({ fields }) => fields)).toEqual([
      { speed: { $number: 'NaN' } },
      { speed: { $number: 'Infinity' } },
      { speed: { $number: '-Infinity' } },
      { speed: { $number: '-0' } },
      { speed: 5e-324 },
      { speed: 0.1 },
    ])
  })

  test('downsample and latest answer over HTTP', async () => {
    await mesh.stores[1]!.hold(FRAMES)
    const from = '2025-07-06T12:00:00Z'
    const to = '2025-07-06T12:01:00Z'
    const query = {
      kind: 'downsample',
      stream: STREAM,
      from,
      to,
      every: '1m',
      aggregates: ['max', 'avg', 'first'],
    }
    const buckets = (await (await mesh.request(0, '/v1/query', query)).json()) as { rows: object[] }
    expect(buckets.rows).toEqual([
      {
        time: '2025-07-06T12:00:00.000000Z',
        timeUs: T0,
        source: 'VH001',
        fields: { speed: { max: 31, avg: 20.5, first: 10 } },
      },
    ])
    const latest = await mesh.request(2, '/v1/query', { kind: 'latest', stream: STREAM })
    expect(await latest.json()).toMatchObject({
      rows: [{ source: 'VH001', fields: { speed: 31 } }],
    })
  })

  test('mistakes are told apart, each with its status and a hint', async () => {
    await mesh.stores[0]!.hold(FRAMES)
    const cases: [unknown, number, RegExp][] = [
      ['{"kind":', 400, /HTTP_BAD_JSON.*not JSON/],
      [{ kind: 'range', steam: STREAM }, 400, /QUERY_INVALID.*steam/],
      [
        { kind: 'range', stream: 'vehicle.moton' },
        404,
        /QUERY_STREAM_UNKNOWN.*Did you mean.*vehicle\.motion/,
      ],
      [
        { kind: 'range', stream: STREAM, fields: ['x'.repeat(2_000_000)] },
        413,
        /HTTP_BODY_TOO_LARGE/,
      ],
    ]
    for (const [body, status, text] of cases) {
      const response = await mesh.request(0, '/v1/query', body)
      expect([response.status, await response.text()]).toEqual([
        status,
        expect.stringMatching(text),
      ])
    }
    expect((await mesh.request(0, '/v1/nothing')).status).toBe(404)
  })

  test('a store whose server is gone is left out, and the coverage says so', async () => {
    await mesh.stores[1]!.hold(FRAMES)
    await mesh.servers[2]!.close()
    const one = await (await mesh.request(0, '/v1/query', { kind: 'range', stream: STREAM })).json()
    expect(one).toMatchObject({ coverage: { complete: true, answered: 2 } })
    await mesh.servers[1]!.close()
    const none = await mesh.request(0, '/v1/query', { kind: 'range', stream: STREAM })
    expect(none.status).toBe(404)
  })

  test('a client that leaves ends the scan at the stores', async () => {
    const many = Array.from({ length: 400 }, (_, i) => {
      const samples = Array.from({ length: 500 }, (_, j) => ({
        timeUs: T0 + j,
        fields: { state: 'x'.repeat(50) },
      }))
      return dataFrame({ source: `VH${i}`, epoch: epochOf(1), sequence: 1 }, samples)
    })
    const store = mesh.stores[1]!
    await store.hold(many)
    const { promise: ended, resolve } = Promise.withResolvers<void>()
    const scan = store.peer.scan.bind(store.peer)
    store.peer.scan = (request, signal) => {
      signal.addEventListener('abort', () => resolve())
      return scan(request, signal)
    }
    const leaving = new AbortController()
    const response = await fetch(`${mesh.servers[0]!.url}/v1/query`, {
      method: 'POST',
      body: JSON.stringify({ kind: 'range', stream: STREAM }),
      signal: leaving.signal,
    })
    await response.body!.getReader().read()
    leaving.abort()
    await ended
  })
})

describe('other routes', () => {
  test('streams lists what there is, with units and the number of sources', async () => {
    await mesh.stores[0]!.hold(FRAMES)
    await mesh.stores[1]!.hold([
      dataFrame({ source: 'VH2', epoch: epochOf(1), sequence: 1 }, samplesFrom(1)),
    ])
    expect(await (await mesh.request(2, '/v1/streams')).json()).toEqual({
      streams: [
        {
          stream: STREAM,
          sources: 2,
          fields: [
            { name: 'speed', type: 'number', unit: 'km/h' },
            { name: 'state', type: 'string' },
          ],
          inferred: false,
        },
      ],
    })
  })

  test('healthz and readyz say why not', async () => {
    expect((await mesh.request(0, '/healthz')).status).toBe(200)
    mesh.health = { refusing: true, ready: false, reasons: ['disk full'] }
    const health = await mesh.request(0, '/healthz')
    expect(health.status).toBe(503)
    expect(await health.json()).toEqual({ status: 'refusing', reasons: ['disk full'] })
    expect((await mesh.request(0, '/readyz')).status).toBe(503)
    expect(await (await mesh.request(0, '/v1/peers')).json()).toMatchObject({ peers: [{}, {}, {}] })
  })
})

describe('the routes between stores', () => {
  const client = (): PeerClient =>
    new PeerClient({ http: mesh.servers[0]!.url, clock: systemClock })

  test('differences - none where fingerprints are equal, all of a lane where they are not', async () => {
    await mesh.stores[0]!.hold(FRAMES)
    const shard = shardOf('VH001')
    const fingerprint = mesh.stores[0]!.peer.fingerprints.all()[shard]!
    const same = await client().differences({ shards: [{ shard, fingerprint }] }, SIGNAL)
    expect(same).toMatchObject({ storeId: mesh.stores[0]!.id, life: 'a', shards: [] })
    const shards = [{ shard, fingerprint: '0'.repeat(16) }]
    const other = await client().differences({ shards }, SIGNAL)
    expect(other.shards).toMatchObject([{ shard, lanes: [{ source: 'VH001', held: [1, 3] }] }])
  })

  test('frames come byte for byte, up to the limit', async () => {
    await mesh.stores[0]!.hold(FRAMES, 42)
    const lane = { source: 'VH001', stream: STREAM, epoch: epochOf(1), runs: [1, 3] }
    const pages = await collect(client().frames({ lanes: [lane], bytesMax: 1_000_000 }, SIGNAL))
    expect(pages.flat().map(({ bytes, ingestUs }) => [Buffer.from(bytes), ingestUs])).toEqual(
      FRAMES.map(({ bytes }) => [bytes, 42]),
    )
    const limited = client().frames({ lanes: [lane], bytesMax: 1 }, SIGNAL)
    expect((await limited.next()).done).toBe(false)
    expect(await limited.next()).toEqual({ done: true, value: true })
  })

  test('a schema comes as its frame to stores and as JSON to people', async () => {
    expect(await client().schema(schema.id, SIGNAL)).toEqual(schemaFrame(schema))
    const json = await mesh.request(0, `/v1/peer/schemas/${schema.id}`)
    expect(await json.json()).toEqual(schema.json)
    expect((await mesh.request(0, '/v1/peer/schemas/00')).status).toBe(404)
  })

  test('a bad request is refused, not guessed at', async () => {
    const response = await mesh.request(0, '/v1/peer/scan', { query: {}, parts: [] })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: { code: 'QUERY_INVALID' } })
  })
})

function samplesFrom(second: number): Sample[] {
  return [0, 1].map((i) => ({
    timeUs: T0 + (second + i) * 1_000_000,
    fields: { speed: second + i },
  }))
}
