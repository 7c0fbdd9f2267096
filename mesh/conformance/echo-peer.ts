// A process of its own for the transport suite to kill: answers `ask/x` on `answer/x`, and says on its
// first line who it is. Links to a second argument.
//
//     node echo-peer.ts '{"name":"zeromq","meshId":"…","bind":"…"}' [endpoint]
import { systemClock, systemRandom } from '../system.ts'
import type { PeerTransport, Transport } from '../transport.ts'
import { isPeerTransport } from '../transport.ts'
import type { HyperswarmOptions } from '../transports/hyperswarm.ts'
import type { ZeromqConfig } from '../transports/index.ts'
import { createTransport } from '../transports/index.ts'
import type { ZenohOptions } from '../transports/zenoh.ts'

/** What a test passes on the command line: a transport's config without what only code can give. */
export type EchoPeerConfig =
  | Omit<ZeromqConfig, 'clock' | 'random'>
  | (Omit<HyperswarmOptions, 'clock' | 'random'> & { readonly name: 'hyperswarm' })
  | (Omit<ZenohOptions, 'clock' | 'random'> & { readonly name: 'zenoh' })

async function makeTransport(config: EchoPeerConfig): Promise<Transport> {
  const options = { ...config, clock: systemClock, random: systemRandom }
  if (options.name === 'zeromq') return createTransport(options)
  if (options.name === 'zenoh') {
    const { ZenohTransport } = await import('../transports/zenoh.ts')
    return new ZenohTransport(options)
  }
  const { HyperswarmTransport } = await import('../transports/hyperswarm.ts')
  return new HyperswarmTransport(options)
}

async function openPeer(config: EchoPeerConfig): Promise<PeerTransport> {
  const transport = await makeTransport(config)
  if (!isPeerTransport(transport)) throw new TypeError(`${config.name} has no peers`)
  await transport.open()
  return transport
}

const [json, dials] = process.argv.slice(2)
if (json === undefined) throw new TypeError('usage: echo-peer.ts <config as JSON> [endpoint]')

const transport = await openPeer(JSON.parse(json) as EchoPeerConfig)
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
