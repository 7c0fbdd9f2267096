import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import * as fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { eventually } from '../conformance/eventually.ts'
import { systemClock, systemRandom } from '../system.ts'
import type { BridgeSocket } from './zenoh-websocket.ts'
import { connectWebSocket } from './zenoh-websocket.ts'

const BYTES_MAX = 100_000
const closers: (() => unknown)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

interface Pair {
  readonly socket: BridgeSocket
  /** The other side, as a bare stream. */
  readonly far: Duplex
  /** What the other side has received. */
  readonly heard: () => Buffer
  readonly messages: Buffer[]
  oversized: number
}

async function pair(): Promise<Pair> {
  const met = Promise.withResolvers<Duplex>()
  const server = createServer().on('upgrade', (request, socket) => {
    const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`
    const accept = createHash('sha1').update(key).digest('base64')
    socket.write(
      `HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    )
    met.resolve(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => server.close())
  const { port } = server.address() as AddressInfo
  const socket = await connectWebSocket(new URL(`ws://127.0.0.1:${port}`), {
    clock: systemClock,
    random: systemRandom,
    timeoutMs: 5000,
    signal: new AbortController().signal,
    messageBytesMax: BYTES_MAX,
  })
  const far = await met.promise
  const chunks: Buffer[] = []
  far.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => {})
  closers.push(() => far.destroy())
  closers.push(() => socket.destroy(new Error('closed')))
  const made: Pair = { socket, far, heard: () => Buffer.concat(chunks), messages: [], oversized: 0 }
  socket.onMessage = (bytes) => made.messages.push(Buffer.from(bytes))
  socket.onOversize = () => (made.oversized += 1)
  return made
}

function frame(first: number, payload: Buffer): Buffer {
  const { length } = payload
  const size = Buffer.alloc(length < 126 ? 1 : length < 65_536 ? 3 : 9)
  size[0] = length < 126 ? length : length < 65_536 ? 126 : 127
  if (size.length === 3) size.writeUInt16BE(length, 1)
  if (size.length === 9) size.writeBigUInt64BE(BigInt(length), 1)
  return Buffer.concat([Buffer.from([first]), size, payload])
}

const FIN_BINARY = 0x82
const PING = frame(0x89, Buffer.from('here?'))
const PONG = Buffer.concat([Buffer.from([0x8a, 0x85, 0, 0, 0, 0]), Buffer.from('here?')])

describe('the WebSocket to a Zenoh bridge', () => {
  it('frames - arrive as messages, however they are cut and chopped', async () => {
    const message = fc.record({
      bytes: fc.integer({ min: 0, max: 70_000 }).map((length) => Buffer.alloc(length, length)),
      parts: fc.integer({ min: 1, max: 3 }),
      pinged: fc.boolean(),
    })
    const chop = fc.integer({ min: 1, max: 40_000 })
    await fc.assert(
      fc.asyncProperty(fc.array(message, { maxLength: 8 }), chop, async (sent, chopBytes) => {
        const { far, messages, socket } = await pair()
        const frames = sent.flatMap(({ bytes, parts, pinged }) => {
          const partBytes = Math.ceil(bytes.length / parts)
          const cut = Array.from({ length: parts }, (_, index) => {
            const isLast = index === parts - 1
            const head = (isLast ? 0x80 : 0) | (index === 0 ? 2 : 0)
            return frame(head, bytes.subarray(index * partBytes, (index + 1) * partBytes))
          })
          return pinged ? cut.flatMap((part) => [PING, part]) : cut
        })
        const stream = Buffer.concat([...frames, frame(FIN_BINARY, Buffer.from('end'))])
        for (let at = 0; at < stream.length; at += chopBytes) {
          far.write(stream.subarray(at, at + chopBytes))
          if (at % 7 === 0) await new Promise((resolve) => setImmediate(resolve))
        }
        await eventually(() => messages.at(-1)?.toString() === 'end')
        expect(messages.slice(0, -1).map((bytes) => bytes.toString('hex'))).toEqual(
          sent.map(({ bytes }) => bytes.toString('hex')),
        )
        socket.destroy(new Error('done'))
      }),
      { numRuns: 30 },
    )
  })

  it('a message too large - is skipped, also in parts, and the next one arrives', async () => {
    const made = await pair()
    const half = Buffer.alloc(BYTES_MAX / 2 + 1)
    made.far.write(frame(FIN_BINARY, Buffer.alloc(BYTES_MAX + 1)))
    made.far.write(frame(2, half))
    made.far.write(frame(0x80, half))
    made.far.write(frame(FIN_BINARY, Buffer.alloc(BYTES_MAX, 1)))
    await eventually(() => made.messages.length === 1)
    expect(made.oversized).toBe(2)
    expect(made.messages[0]!.equals(Buffer.alloc(BYTES_MAX, 1))).toBe(true)
  })

  it('what is received - is answered by a frame, and a message sent after it is whole', async () => {
    const { far, heard, socket } = await pair()
    far.write(frame(FIN_BINARY, Buffer.from('x')))
    // Not last, binary, no bytes.
    await eventually(() => heard().toString('hex') === '028000000000')
    socket.send(Buffer.from('abc'))
    // Last, continuation.
    await eventually(() => heard().subarray(6).toString('hex') === '808300000000616263')
  })

  it('ping - is answered by pong', async () => {
    const { far, heard } = await pair()
    far.write(PING)
    await eventually(() => heard().includes(PONG))
  })

  it.each([
    ['a frame with a mask', Buffer.from([0x82, 0x81, 0, 0, 0, 0, 1])],
    ['a reserved bit', Buffer.from([0xc2, 0])],
    ['a ping in parts', Buffer.from([0x09, 0])],
    ['a ping too large', Buffer.from([0x89, 126, 0, 200])],
  ])('%s - ends the connection', async (_, bytes) => {
    const { far, socket } = await pair()
    far.write(bytes)
    expect((await socket.ended).message).toBe('it does not speak WebSocket')
  })

  it('a goodbye of the other side - ends the connection', async () => {
    const { far, socket } = await pair()
    far.write(frame(0x88, Buffer.alloc(0)))
    expect((await socket.ended).message).toBe('the connection was closed by the other side')
  })

  it('end() - sends what is buffered, and ends although nobody answers', async () => {
    const { far, socket, heard } = await pair()
    far.pause()
    const bytes = Buffer.alloc(3_000_000, 7)
    socket.send(bytes)
    const ending = socket.end()
    far.resume()
    await ending
    await eventually(() => heard().length > bytes.length)
    expect(heard().subarray(-6).toString('hex')).toBe('888000000000')
  })

  it('a signal - ends the attempt to connect', async () => {
    const server = createServer().on('upgrade', () => {})
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    closers.push(() => server.close())
    closers.push(() => server.closeAllConnections())
    const closing = new AbortController()
    const { port } = server.address() as AddressInfo
    const connecting = connectWebSocket(new URL(`ws://127.0.0.1:${port}`), {
      clock: systemClock,
      random: systemRandom,
      timeoutMs: 60_000,
      signal: closing.signal,
      messageBytesMax: BYTES_MAX,
    })
    closing.abort()
    await expect(connecting).rejects.toThrow('closed')
  })
})
