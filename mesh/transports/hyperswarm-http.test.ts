import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, RequestListener, Server } from 'node:http'
import { Agent, createServer, request } from 'node:http'
import type { Duplex } from 'node:stream'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from '../conformance/eventually.ts'
import { linkedBoth } from '../conformance/transport-rig.ts'
import { systemRandom } from '../system.ts'
import { LocalMesh } from './hyperswarm-testing.ts'
import type { HyperswarmTransport } from './hyperswarm.ts'

const MIB = 1024 * 1024

/** One connection per stream, as `http.Agent` does it over TCP. */
class SwarmAgent extends Agent {
  opened = 0
  private readonly transport: HyperswarmTransport
  private readonly endpoint: string

  constructor(transport: HyperswarmTransport, endpoint: string, keepAlive: boolean) {
    super({ keepAlive, maxSockets: 4 })
    this.transport = transport
    this.endpoint = endpoint
  }

  override createConnection(
    _options: unknown,
    done: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    this.opened += 1
    void this.connect(done)
    return undefined
  }

  private async connect(done: (error: Error | null, stream: Duplex) => void): Promise<void> {
    try {
      done(null, await this.transport.connectHttp(this.endpoint))
    } catch (error) {
      done(error as Error, undefined as unknown as Duplex)
    }
  }
}

describe('hyperswarm: HTTP over it', () => {
  let mesh: LocalMesh

  beforeEach(async () => {
    mesh = await LocalMesh.start()
  })

  afterEach(() => mesh.close())

  async function serve(listener: RequestListener): Promise<{
    server: HyperswarmTransport
    client: HyperswarmTransport
    http: Server
    agent: (keepAlive?: boolean) => SwarmAgent
  }> {
    const [server, client] = [await mesh.open(), await mesh.open({ listens: false })]
    const http = createServer(listener)
    server.onHttp((stream) => http.emit('connection', stream))
    return {
      server,
      client,
      http,
      agent: (keepAlive = true) => {
        const agent = new SwarmAgent(client, server.endpoint!, keepAlive)
        mesh.onClose(() => Promise.resolve(agent.destroy()))
        return agent
      },
    }
  }

  async function get(agent: Agent, path: string, body?: Buffer): Promise<IncomingMessage> {
    const asked = request({ agent, path, host: 'peer', method: body ? 'POST' : 'GET' })
    // Told to the response as well.
    asked.on('error', () => {})
    asked.end(body)
    const [response] = (await once(asked, 'response')) as [IncomingMessage]
    return response
  }

  async function text(response: IncomingMessage): Promise<string> {
    let all = ''
    for await (const chunk of response.setEncoding('utf8')) all += String(chunk)
    return all
  }

  it('keep-alive - many requests, one stream; without it one stream each', async () => {
    const { agent } = await serve((asked, answer) => answer.end(`you asked for ${asked.url}`))
    const kept = agent()
    for (let count = 0; count < 20; count += 1) {
      const path = `/${count}`
      expect(await text(await get(kept, path))).toBe(`you asked for ${path}`)
    }
    expect(kept.opened).toBe(1)
    const fresh = agent(false)
    for (let count = 0; count < 3; count += 1) await text(await get(fresh, '/'))
    expect(fresh.opened).toBe(3)
  })

  it('50 MB streamed - arrive whole, and a reader that waits makes the server wait', async () => {
    const chunk = Buffer.from(systemRandom.bytes(MIB))
    const hash = createHash('sha256')
    let produced = 0
    const { agent } = await serve((_asked, answer) => {
      const source = Readable.from(
        (function* () {
          for (let count = 0; count < 50; count += 1) {
            produced += 1
            yield chunk
          }
        })(),
      )
      source.pipe(answer)
    })
    const response = await get(agent(), '/')
    // Nobody reads: what both sides and UDP buffer is bounded.
    let before = -1
    await eventually(
      () => {
        const isStill = produced === before
        before = produced
        return isStill
      },
      { what: 'the server to wait', everyMs: 200 },
    )
    expect(produced).toBeLessThan(10)
    let bytes = 0
    for await (const part of response) {
      bytes += (part as Buffer).length
      hash.update(part as Buffer)
    }
    expect(bytes).toBe(50 * MIB)
    const expected = createHash('sha256')
    for (let count = 0; count < 50; count += 1) expected.update(chunk)
    expect(hash.digest('hex')).toBe(expected.digest('hex'))
  })

  it('a large body sent - arrives whole', async () => {
    const { agent } = await serve((asked, answer) => {
      const hash = createHash('sha256')
      asked.on('data', (part: Buffer) => hash.update(part))
      asked.on('end', () => answer.end(hash.digest('hex')))
    })
    const body = Buffer.from(systemRandom.bytes(20 * MIB))
    const answer = await text(await get(agent(), '/', body))
    expect(answer).toBe(createHash('sha256').update(body).digest('hex'))
  })

  it('the server gone in the middle - is an error, not silence', async () => {
    const { agent, server } = await serve((_asked, answer) => {
      answer.write('half')
    })
    const response = await get(agent(), '/')
    const failed = once(response, 'error')
    await once(response.resume(), 'data')
    await server.close()
    await failed
  })

  it('beside links - which stay; idle streams are closed by the server', async () => {
    const { agent, server, client, http } = await serve((_asked, answer) => answer.end('x'))
    await linkedBoth(client, server)
    http.keepAliveTimeout = 100
    const kept = agent()
    await text(await get(kept, '/'))
    await eventually(() => Object.keys(kept.freeSockets).length === 0, { what: 'the idle stream' })
    expect(server.linked().has(client.peerId)).toBe(true)
  })

  it('a peer that serves no HTTP - closes the stream', async () => {
    const [server, client] = [await mesh.open(), await mesh.open()]
    const stream = await client.connectHttp(server.endpoint!)
    stream.on('error', () => {})
    stream.resume()
    await once(stream, 'close')
  })
})
