// Zenoh as Node.js reaches it, through its bridge, with nothing kept: what a message costs on a plain key.
// Through a guarded client (mesh/transports/zenoh-client.ts says what it guards against). A lost bridge
// ends it: nothing is published or delivered after that.
import { join } from 'node:path'
import { systemClock } from '../../mesh/index.ts'
import { loadZenoh, ZenohClient } from '../../mesh/transports/zenoh-client.ts'
import { connectWebSocket, type BridgeSocket } from '../../mesh/transports/zenoh-websocket.ts'
import { installCommand, isInstalled, startSystem } from '../../systems/index.ts'
import { messageDecoder, messageEncoder, messageSamples } from '../messages.ts'
import { packageVersion } from './package-version.ts'
import { ServerDeployment } from './server-deployment.ts'
import type { BenchClient, BenchSystem } from './system.ts'

const CLIENT = '@eclipse-zenoh/zenoh-ts'
const CONNECT_MS = 5_000
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024
/** What may wait for the bridge to take it. */
const BUFFERED_BYTES_MAX = 64 * 1024 * 1024

export const zenoh: BenchSystem = {
  name: 'zenoh',
  persists: false,
  tiers: [],
  missing: () =>
    isInstalled('zenoh') ? undefined : `it is not installed: ${installCommand('zenoh')}`,
  deploymentKey: () => 'zenoh',
  start: async (_setting, directory) => {
    const server = await startSystem('zenoh', { dataPath: join(directory, 'zenoh') })
    const { address, version } = server
    return new ServerDeployment({
      servers: [server],
      versions: { 'zenoh-bridge-remote-api': version, [CLIENT]: packageVersion(CLIENT) },
      configuration: {
        bridges: 'one for all clients',
        keys: 'one for each publisher',
        congestionControl: 'block',
        express: true,
      },
      openChannel: async (setting, name) => ({ setting, name, address }),
    })
  },
}

export const client: BenchClient = {
  async openProducer({ channel, form, sources, process, onLost }) {
    const encode = messageEncoder(form, channel.name, sources)
    const key = `${channel.name}/${process}`
    const { socket, session } = await connect(channel.address)
    let bytes = 0
    let messages = 0
    return {
      hasReceipts: false,
      publish(source, samples) {
        if (!socket.isOpen || socket.bufferedBytes > BUFFERED_BYTES_MAX) {
          onLost(samples.length, 'the bridge does not take it')
          return
        }
        for (const part of messageSamples(form, samples)) {
          const message = encode(source, part)
          session.put(key, message)
          bytes += message.length
          messages += 1
        }
      },
      sentBytes: () => bytes,
      sentMessages: () => messages,
      close: () => socket.end(),
    }
  },

  async openConsumer({ channel, form, onSamples }) {
    const decode = messageDecoder(form)
    const { socket, session } = await connect(channel.address)
    await session.subscribe(`${channel.name}/**`, (_key, isPut, message) => {
      if (isPut) onSamples(decode(message))
    })
    return { close: () => socket.end() }
  },
}

async function connect(
  address: string,
): Promise<{ readonly socket: BridgeSocket; readonly session: ZenohClient }> {
  const zenohPackage = await loadZenoh()
  const socket = await connectWebSocket(new URL(address), {
    clock: systemClock,
    timeoutMs: CONNECT_MS,
    signal: new AbortController().signal,
    messageBytesMax: MESSAGE_BYTES_MAX,
  })
  const ignore = (): void => undefined
  return { socket, session: await ZenohClient.open(zenohPackage, socket, ignore, ignore) }
}
