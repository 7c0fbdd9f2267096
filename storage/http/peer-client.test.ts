// What goes wrong between stores: peers that hang, break off, or die while they are read.
import { createServer, type RequestListener, type Server } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../mesh/index.ts'
import { parseQuery } from '../query/query.ts'
import { collect, dataFrame, epochOf, rowsOfFrames, STREAM, T0 } from '../query/test-mesh.ts'
import { PeerClient } from './peer-client.ts'
import { HttpMesh } from './test-server.ts'

const SIGNAL = new AbortController().signal
const SCAN = { query: parseQuery({ kind: 'range', stream: STREAM }, T0), parts: [] }
const servers: Server[] = []

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close()
    server.closeAllConnections()
  }
})

async function clientOf(listener: RequestListener, silenceMs = 5_000): Promise<PeerClient> {
  const server = createServer(listener)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return new PeerClient({ http: `http://127.0.0.1:${port}`, clock: systemClock, silenceMs })
}

describe('PeerClient', () => {
  test('a peer that accepts and says nothing is given up', async () => {
    const client = await clientOf(() => undefined, 50)
    await expect(client.digest({}, SIGNAL)).rejects.toThrow(/silent for 50 ms/)
    await expect(collect(client.scan(SCAN, SIGNAL))).rejects.toThrow(/silent for 50 ms/)
  })

  test('a peer that falls silent in the middle is given up, one that sends empty lines is not', async () => {
    const hung = await clientOf((_, response) => void response.write('{"rows":[]}\n'), 50)
    await expect(collect(hung.scan(SCAN, SIGNAL))).rejects.toThrow(/silent for 50 ms/)
    const slow = await clientOf((_, response) => {
      let beats = 0
      const timer = setInterval(() => {
        if (++beats < 45) return void response.write('\n')
        clearInterval(timer)
        return void response.end('{"end":true}\n')
      }, 50)
    }, 2_000)
    expect(await collect(slow.scan(SCAN, SIGNAL))).toEqual([])
  })

  test('an answer that breaks off is an error, whatever came before', async () => {
    const client = await clientOf((_, response) => void response.end('{"rows":[]}\n'))
    await expect(collect(client.scan(SCAN, SIGNAL))).rejects.toMatchObject({
      code: 'QUERY_NO_PEER',
      message: expect.stringContaining('cut off'),
    })
    const short = await clientOf((_, response) => void response.end('12345'))
    const frames = short.frames({ lanes: [], bytesMax: 1 }, SIGNAL)
    await expect(collect(frames)).rejects.toThrow(/ends before its last record/)
  })

  test('an error of the peer arrives with its message; an abort arrives as the abort', async () => {
    const client = await clientOf((_, response) => {
      response.statusCode = 503
      response.end('{"error":{"code":"X","message":"disk on fire"}}')
    })
    await expect(client.digest({}, SIGNAL)).rejects.toThrow(/status 503: disk on fire/)
    const hung = await clientOf(() => undefined)
    const leaving = new AbortController()
    const asked = hung.digest({}, leaving.signal)
    leaving.abort(new Error('enough'))
    await expect(asked).rejects.toThrow('enough')
  })
})

test('a store killed while it is read: every row once, from the others', async () => {
  await using mesh = await HttpMesh.start(3)
  const text = 'x'.repeat(100)
  const frames = Array.from({ length: 200 }, (_, i) => {
    const samples = Array.from({ length: 200 }, (_, j) => ({
      timeUs: T0 + j * 1_000 + i,
      fields: { speed: j, state: text },
    }))
    return dataFrame(
      { source: `VH${i % 50}`, epoch: epochOf(1), sequence: 1 + Math.floor(i / 50) },
      samples,
    )
  })
  await mesh.stores[0]!.hold(frames)
  await mesh.stores[1]!.hold(frames)
  const accept = { accept: 'application/x-ndjson' }
  const query = { kind: 'range', stream: STREAM }
  const response = await mesh.request(2, '/v1/query', query, accept)
  const decoder = new TextDecoder()
  let body = ''
  let closing: Promise<void> | undefined
  for await (const chunk of response.body!) {
    body += decoder.decode(chunk as Uint8Array, { stream: true })
    closing ??= mesh.servers[0]!.close()
  }
  await closing
  const lines = body
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  const { coverage } = lines.pop()
  const nameOf = (row: { source: string; sequence: number; index: number }): string =>
    `${row.source}/${row.sequence}/${row.index}`
  expect(lines.map(nameOf)).toEqual(rowsOfFrames(frames).map(nameOf))
  expect(coverage).toMatchObject({ complete: true, frames: 200, gaps: [] })
})
