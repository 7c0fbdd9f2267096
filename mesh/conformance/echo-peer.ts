// A process of its own for the transport suite to kill: listens at the address given, answers
// `ask/x` on `answer/x`, and says on its first line who it is. Links to a third
// argument. `node echo-peer.ts <bind> <mesh id> [endpoint]`
import type { MeshId } from '../names.ts'
import { systemClock, systemRandom } from '../system.ts'
import { createTransport } from '../transports/index.ts'

const [bind, meshId, dials] = process.argv.slice(2)
if (bind === undefined || meshId === undefined) {
  throw new TypeError('usage: echo-peer.ts <bind> <mesh id> [endpoint]')
}

const transport = await createTransport({
  name: 'zeromq',
  meshId: meshId as MeshId,
  bind,
  clock: systemClock,
  random: systemRandom,
})
await transport.open()
await transport.subscribe('ask/*', (batch) => {
  for (const { topic, bytes } of batch) {
    transport.publish(topic.replace('ask', 'answer'), Buffer.from(bytes))
  }
})
if (dials !== undefined) transport.link(dials)
const { peerId, endpoint } = transport
process.stdout.write(`${JSON.stringify({ peerId, endpoint })}\n`)
// Ends with the test that started it, even when that one is killed.
process.stdin.on('end', () => process.exit(0)).resume()
