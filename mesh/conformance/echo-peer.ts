// A process of its own for the transport suite to kill: answers `ask/x` on `answer/x`, and says on its
// first line who it is. Links to a second argument.
//
//     node echo-peer.ts '{"name":"zeromq","meshId":"…","bind":"…"}' [endpoint]
import { systemClock, systemRandom } from '../system.ts'
import type { HyperswarmConfig, ZenohConfig, ZeromqConfig } from '../transports/index.ts'
import { createTransport } from '../transports/index.ts'

/** What a test passes on the command line: a transport's config without what only code can give. */
export type EchoPeerConfig =
  | Omit<ZeromqConfig, 'clock' | 'random'>
  | Omit<HyperswarmConfig, 'clock' | 'random'>
  | Omit<ZenohConfig, 'clock' | 'random'>

const [json, dials] = process.argv.slice(2)
if (json === undefined) throw new TypeError('usage: echo-peer.ts <config as JSON> [endpoint]')

const config = JSON.parse(json) as EchoPeerConfig
const transport = await createTransport({ ...config, clock: systemClock, random: systemRandom })
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
