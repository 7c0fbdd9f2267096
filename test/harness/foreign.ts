// What somebody else made at a server under names of ours: a stream or a topic that a mesh must neither use
// nor change. By the servers' own clients, as any administrator would.
import { jetstreamManager, type StreamConfig } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { Admin, ConfigResourceTypes } from '@platformatic/kafka'

export interface NatsAdmin extends AsyncDisposable {
  /** The stream of a mesh, in memory and of other subjects; returns its name. */
  addForeignStream(meshName: string): Promise<string>
  configOf(stream: string): Promise<StreamConfig>
  removeStream(stream: string): Promise<void>
}

export async function natsAdmin(
  servers: string,
  login: { readonly user: string; readonly password: string },
): Promise<NatsAdmin> {
  const nc = await connect({ servers, user: login.user, pass: login.password })
  const manager = await jetstreamManager(nc)
  return {
    addForeignStream: async (meshName) => {
      const name = `skein-${meshName}`
      await manager.streams.add({ name, subjects: [`other.${meshName}.>`], storage: 'memory' })
      return name
    },
    configOf: async (stream) => (await manager.streams.info(stream)).config,
    removeStream: async (stream) => void (await manager.streams.delete(stream)),
    [Symbol.asyncDispose]: () => nc.close(),
  }
}

export interface KafkaAdmin extends AsyncDisposable {
  /** The telemetry topic of a mesh, with one partition; returns its name. */
  addForeignTopic(meshName: string): Promise<string>
  /** Number of partitions and everything that is set. */
  stateOf(topic: string): Promise<unknown>
  removeTopic(topic: string): Promise<void>
}

export function kafkaAdmin(
  broker: string,
  login: { readonly username: string; readonly password: string },
): KafkaAdmin {
  const admin = new Admin({
    clientId: 'test',
    bootstrapBrokers: [broker],
    sasl: { mechanism: 'PLAIN', ...login },
  })
  return {
    addForeignTopic: async (meshName) => {
      const name = `skein.${meshName}.telemetry`
      await admin.createTopics({ topics: [name], partitions: 1, replicas: 1 })
      return name
    },
    stateOf: async (topic) => {
      const metadata = await admin.metadata({ topics: [topic], forceUpdate: true })
      const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: topic }
      const [described] = await admin.describeConfigs({ resources: [resource] })
      const found = metadata.topics.get(topic)
      return [found?.id, found?.partitionsCount, described?.configs]
    },
    removeTopic: (topic) => admin.deleteTopics({ topics: [topic] }),
    [Symbol.asyncDispose]: () => admin.close(),
  }
}
