// Asks a Kafka broker for its metadata, which it gives once it is ready and has joined its own cluster.
// Four bytes of length, then api key, version, correlation id and client id, all big-endian: the oldest
// header of Kafka's protocol. No client library: it would have to be loaded only to say hello.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

const METADATA = { key: 3, version: 8 }
const SASL_HANDSHAKE = { key: 17, version: 1 }
const SASL_AUTHENTICATE = { key: 36, version: 1 }
const PROBE_MS = 2_000
/** No topics (an empty list), no creation, no lists of what one may do. */
const NO_TOPICS = Buffer.from([0, 0, 0, 0, 0, 0, 0])

/** Rejects unless the broker names at least one broker that takes requests. */
export async function probeKafka(
  host: string,
  port: number,
  sasl?: { readonly username: string; readonly password: string },
): Promise<void> {
  const socket = connect(port, host)
  const failed = new Promise<never>((_, reject) => {
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed by the broker')))
    socket.setTimeout(PROBE_MS, () => socket.destroy(new Error('no answer')))
  })
  try {
    await Promise.race([failed, talk(socket, sasl)])
  } finally {
    failed.catch(() => undefined)
    socket.destroy()
  }
}

async function talk(
  socket: Socket,
  sasl?: { readonly username: string; readonly password: string },
): Promise<void> {
  await once(socket, 'connect')
  if (sasl !== undefined) {
    await ask(socket, SASL_HANDSHAKE, text('PLAIN'))
    const credentials = Buffer.from(`\0${sasl.username}\0${sasl.password}`)
    const answer = await ask(
      socket,
      SASL_AUTHENTICATE,
      Buffer.concat([int32(credentials.length), credentials]),
    )
    if (answer.readInt16BE(0) !== 0) throw new Error('refused the credentials')
  }
  const answer = await ask(socket, METADATA, NO_TOPICS)
  const brokerCount = answer.readInt32BE(4)
  if (brokerCount < 1) throw new Error('no broker has joined yet')
}

/** The body of the answer. */
async function ask(
  socket: Socket,
  { key, version }: { readonly key: number; readonly version: number },
  body: Buffer,
): Promise<Buffer> {
  const header = Buffer.concat([int16(key), int16(version), int32(1), text('skein')])
  socket.write(Buffer.concat([int32(header.length + body.length), header, body]))
  let answer = Buffer.alloc(0)
  while (answer.length < 4 || answer.length < 4 + answer.readInt32BE(0)) {
    const [more] = (await once(socket, 'data')) as [Buffer]
    answer = Buffer.concat([answer, more])
  }
  // Length and correlation id.
  return answer.subarray(8)
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

function text(value: string): Buffer {
  return Buffer.concat([int16(Buffer.byteLength(value)), Buffer.from(value)])
}
