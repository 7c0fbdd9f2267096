import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { afterEach, describe, expect, it } from 'vitest'
import { eventually } from '../conformance/eventually.ts'
import { systemClock } from '../system.ts'
import type { BridgeSocket } from './zenoh-websocket.ts'
import { connectWebSocket } from './zenoh-websocket.ts'

const MIB = 1024 * 1024
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
  skipped: number
}

/** Listens, and gives a client's stream to the handler when it asks for a WebSocket. */
async function startServer(onUpgrade: (far: Duplex, accept: string) => void): Promise<URL> {
  const server = createServer().on('upgrade', (request, far) => {
    closers.push(() => far.destroy())
    const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`
    onUpgrade(
      far.on('error', () => {}),
      createHash('sha1').update(key).digest('base64'),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => server.close())
  return new URL(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
}

function connect(
  url: URL,
  { signal = new AbortController().signal, timeoutMs = 5000 } = {},
): Promise<BridgeSocket> {
  const options = { clock: systemClock, timeoutMs, signal, messageBytesMax: BYTES_MAX }
  return connectWebSocket(url, options)
}

async function pair(): Promise<Pair> {
  const met = Promise.withResolvers<Duplex>()
  const url = await startServer((far, accept) => {
    far.write(
      `HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    )
    met.resolve(far)
  })
  const socket = await connect(url)
  const far = await met.promise
  const chunks: Buffer[] = []
  far.on('data', (chunk: Buffer) => chunks.push(chunk))
  closers.push(() => socket.destroy(new Error('closed')))
  const made: Pair = { socket, far, heard: () => Buffer.concat(chunks), messages: [], skipped: 0 }
  socket.onMessage = (bytes) => made.messages.push(Buffer.from(bytes))
  socket.onSkipped = () => (made.skipped += 1)
  return made
}

function header(first: number, length: number): Buffer {
  const size = Buffer.alloc(length < 126 ? 1 : length < 65_536 ? 3 : 9)
  size[0] = length < 126 ? length : length < 65_536 ? 126 : 127
  if (size.length === 3) size.writeUInt16BE(length, 1)
  if (size.length === 9) size.writeBigUInt64BE(BigInt(length), 1)
  return Buffer.concat([Buffer.from([first]), size])
}

const frame = (first: number, payload: Buffer): Buffer =>
  Buffer.concat([header(first, payload.length), payload])

const FIN_TEXT = 0x81
const FIN_BINARY = 0x82
const FIN_CLOSE = 0x88

describe('the WebSocket to a Zenoh bridge', () => {
  it('a message too large, or text - is skipped, also in parts, and the next arrives', async () => {
    const made = await pair()
    const half = Buffer.alloc(BYTES_MAX / 2 + 1)
    made.far.write(frame(FIN_BINARY, Buffer.alloc(64 * MIB)))
    made.far.write(frame(2, half))
    made.far.write(frame(0x80, half))
    made.far.write(frame(FIN_TEXT, Buffer.from([0xff])))
    made.far.write(frame(FIN_BINARY, Buffer.alloc(BYTES_MAX, 1)))
    await eventually(() => made.messages.length === 1)
    expect(made.skipped).toBe(3)
    expect(made.messages[0]!.equals(Buffer.alloc(BYTES_MAX, 1))).toBe(true)
  })

  it('a message - is in a buffer of its own', async () => {
    const { far, socket } = await pair()
    const got: ArrayBuffer[] = []
    socket.onMessage = (bytes) => got.push(bytes)
    far.write(frame(FIN_BINARY, Buffer.from('ab')))
    far.write(frame(FIN_BINARY, Buffer.from('cd')))
    await eventually(() => got.length === 2)
    expect(got.map((bytes) => bytes.byteLength)).toEqual([2, 2])
  })

  it('a long message - leaves in frames that the bridge takes', async () => {
    const { heard, socket } = await pair()
    socket.send(Buffer.alloc(17 * MIB, 7))
    const lengths = [8 * MIB, 8 * MIB, MIB]
    await eventually(() => heard().length === 17 * MIB + 3 * 14)
    const bytes = heard()
    // Length, and a mask of zeros.
    const headers = lengths.map((_, index) =>
      bytes.subarray(index * (8 * MIB + 14)).subarray(0, 14),
    )
    expect(headers.map((head) => head.toString('hex'))).toEqual([
      '02ff000000000080000000000000',
      '00ff000000000080000000000000',
      '80ff000000000010000000000000',
    ])
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

  it('what is received and replied to - is not answered twice', async () => {
    const { far, heard, socket } = await pair()
    socket.onMessage = () => socket.send(Buffer.from('abc'))
    far.write(frame(FIN_BINARY, Buffer.from('x')))
    await eventually(() => heard().toString('hex') === '828300000000616263')
    far.write(frame(FIN_BINARY, Buffer.from('x')))
    await eventually(() => heard().toString('hex') === '828300000000616263'.repeat(2))
  })

  it.each([
    ['no frame', Buffer.from([0xc2, 0]), /^Invalid WebSocket frame/],
    ['a message above any of a bridge', header(FIN_BINARY, 66 * MIB), /^Max payload size exceeded/],
  ])('%s - ends the connection', async (_, bytes, reason) => {
    const { far, socket } = await pair()
    far.write(bytes)
    expect((await socket.ended).message).toMatch(reason)
    socket.send(Buffer.from('abc'))
  })

  it('a goodbye of the other side - ends the connection', async () => {
    const { far, socket } = await pair()
    far.end(frame(FIN_CLOSE, Buffer.alloc(0)))
    expect((await socket.ended).message).toBe('the connection was closed')
    await socket.end()
    expect(socket.isOpen).toBe(false)
  })

  it('a connection that breaks - ends', async () => {
    const { far, socket } = await pair()
    socket.send(Buffer.alloc(MIB))
    far.destroy()
    expect((await socket.ended).message).toBe('the connection was closed')
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

  it('end() - ends although nobody reads, and says what was buffered', async () => {
    const { far, socket } = await pair()
    far.pause()
    socket.send(Buffer.alloc(16 * MIB))
    expect(socket.bufferedBytes).toBeGreaterThan(8 * MIB)
    const startMs = systemClock.monotonicMs()
    await socket.end()
    expect((await socket.ended).message).toBe('closed')
    expect(systemClock.monotonicMs() - startMs).toBeLessThan(2000)
  })

  it('a signal - ends the attempt to connect', async () => {
    const closing = new AbortController()
    const asked = Promise.withResolvers<void>()
    const url = await startServer(() => asked.resolve())
    void asked.promise.then(() => closing.abort())
    const connecting = connect(url, { signal: closing.signal, timeoutMs: 60_000 })
    await expect(connecting).rejects.toThrow('closed')
    await expect(connect(url, { signal: closing.signal })).rejects.toThrow('aborted')
  })

  it('a server that does not answer - is given up', async () => {
    const url = await startServer(() => {})
    await expect(connect(url, { timeoutMs: 50 })).rejects.toThrow('no answer within 50 ms')
  })

  it.each([
    [
      'another secret',
      (far: Duplex) =>
        far.write(
          'HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n',
        ),
      'Invalid Sec-WebSocket-Accept header',
    ],
    [
      'a refusal',
      (far: Duplex) => far.write('HTTP/1.1 403 x\r\n\r\n'),
      'Unexpected server response: 403',
    ],
    ['a hang-up', (far: Duplex) => far.destroy(), 'socket hang up'],
  ])('%s instead of a connection - is said', async (_, answer, reason) => {
    const url = await startServer(answer)
    await expect(connect(url)).rejects.toThrow(reason)
  })
})
