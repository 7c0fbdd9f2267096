// Core NATS, which keeps nothing: what a message costs through a nats-server before any disk. Who is not
// connected when it is published never gets it.
import type { NatsConnection } from '@nats-io/transport-node'
import { join } from 'node:path'
import { startSystem } from '../../systems/index.ts'
import { messageDecoder, messageEncoder, messageSamples } from '../messages.ts'
import { NatsLine } from './nats-line.ts'
import { natsMissing, natsVersions } from './nats.ts'
import { ServerDeployment } from './server-deployment.ts'
import type { BenchClient, BenchSystem } from './system.ts'

export const natsCore: BenchSystem = {
  name: 'nats-core',
  persists: false,
  tiers: [],
  missing: natsMissing,
  deploymentKey: () => 'nats-core',
  start: async (_setting, directory) => {
    const server = await startSystem('nats', { dataPath: join(directory, 'nats') })
    const { address } = server
    return new ServerDeployment({
      servers: [server],
      versions: natsVersions(server.version),
      configuration: { subjects: 'one for each publisher', delivery: 'at most once' },
      openChannel: async (setting, name) => ({ setting, name, address }),
    })
  },
}

export const client: BenchClient = {
  async openProducer({ channel, form, sources, process, onLost }) {
    const encode = messageEncoder(form, channel.name, sources)
    const subject = `${channel.name}.${process}`
    let connection: NatsConnection | undefined
    const line = await NatsLine.open(channel.address, `bench-producer-${process}`, async (next) => {
      connection = next
    })
    let bytes = 0
    let messages = 0
    return {
      hasReceipts: false,
      publish(source, samples) {
        if (connection!.isClosed()) {
          onLost(samples.length, 'no connection')
          return
        }
        for (const part of messageSamples(form, samples)) {
          const message = encode(source, part)
          connection!.publish(subject, message)
          bytes += message.length
          messages += 1
        }
      },
      sentBytes: () => bytes,
      sentMessages: () => messages,
      close: () => line.close(),
    }
  },

  async openConsumer({ channel, form, process, onSamples }) {
    const decode = messageDecoder(form)
    const line = await NatsLine.open(
      channel.address,
      `bench-consumer-${process}`,
      async (connection) => {
        connection.subscribe(`${channel.name}.>`, {
          callback: (_error, { data }) =>
            onSamples(decode(Buffer.from(data.buffer, data.byteOffset, data.byteLength))),
        })
        await connection.flush()
      },
    )
    return { close: () => line.close() }
  },
}
