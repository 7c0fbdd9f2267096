// Kafka as the bench runs it: one broker for nearly all settings, because durability, partitions and the
// rest belong to the topic, and each run gets a topic of its own; several where copies or brokers are what
// is asked about.
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { KafkaClient } from '../../mesh/transports/kafka-client.ts'
import { LATEST, offsetsAt } from '../../mesh/transports/kafka-offsets.ts'
import { KafkaTrouble } from '../../mesh/transports/kafka-trouble.ts'
import {
  installCommand,
  isInstalled,
  kafkaCluster,
  startSystem,
  type KafkaCluster,
  type RunningSystem,
} from '../../systems/index.ts'
import { kafkaAccess, ledTopic } from './kafka-attempts.ts'
import { clientConfiguration, partitionsOf, topicSettings } from './kafka-settings.ts'
import { packageVersion } from './package-version.ts'
import { ServerDeployment } from './server-deployment.ts'
import type { BenchSystem, Channel, Setting } from './system.ts'

const CLUSTER_BROKERS = 3
const NEW_TOPIC_LOOK_MS = 20
const DELETE_LIMIT_MS = 5_000
/** What the name of a topic may not hold. */
const FOREIGN = /[^A-Za-z0-9._-]/g

export const kafka: BenchSystem = {
  name: 'kafka',
  persists: true,
  tiers: ['written', 'synced'],
  missing: () =>
    isInstalled('kafka') ? undefined : `it is not installed: ${installCommand('kafka')}`,
  deploymentKey: (setting) => `kafka-${brokersOf(setting)}`,
  start: async (setting, directory) => {
    const servers = await startBrokers(brokersOf(setting), directory)
    const [first] = servers
    const topics = new RunTopics(first.address)
    return new ServerDeployment({
      servers,
      versions: {
        kafka: first.version,
        java: await javaVersion(),
        '@platformatic/kafka': packageVersion('@platformatic/kafka'),
      },
      configuration: {
        brokers: servers.length,
        ...(await serverConfiguration(first)),
        ...clientConfiguration(),
      },
      openChannel: (setting, name) => topics.open(setting, name),
    })
  },
}

/** Two copies and three are those of a cluster of three, as its users have it. */
function brokersOf({ stores, copies }: Setting): number {
  return stores ?? (copies === 1 ? 1 : CLUSTER_BROKERS)
}

async function startBrokers(
  count: number,
  directory: string,
): Promise<[RunningSystem, ...RunningSystem[]]> {
  const start = (nodeId: number, cluster?: KafkaCluster): Promise<RunningSystem> =>
    startSystem('kafka', {
      dataPath: join(directory, `kafka-${nodeId}`),
      kafka: { vendorJava: true, ...(cluster && { joins: { ...cluster, nodeId } }) },
    })
  const brokers: [RunningSystem, ...RunningSystem[]] = [await start(1)]
  try {
    const cluster = await kafkaCluster(brokers[0])
    while (brokers.length < count) brokers.push(await start(brokers.length + 1, cluster))
  } catch (error) {
    for (const broker of brokers.toReversed()) await broker.stop()
    throw error
  }
  return brokers
}

/** One at a time: runs follow each other, and hundreds of them would fill a disk. */
class RunTopics {
  private readonly address: string
  private last: string | undefined

  constructor(address: string) {
    this.address = address
  }

  async open(setting: Setting, channelName: string): Promise<Channel> {
    const { address } = this
    const name = channelName.replaceAll(FOREIGN, '-')
    const client = new KafkaClient(await kafkaAccess(address, 'bench'))
    try {
      await client.connect()
      await this.deleteLast(client)
      await client.createTopic({
        name,
        partitions: partitionsOf(setting),
        replication: setting.copies,
        configs: topicSettings(setting),
      })
      this.last = name
      while (!(await isReady(client, name))) await client.wait(NEW_TOPIC_LOOK_MS)
    } finally {
      client.close()
    }
    return { setting, name, address }
  }

  /** The broker removes its files a minute later. */
  private async deleteLast(client: KafkaClient): Promise<void> {
    const { last } = this
    if (last === undefined) return
    this.last = undefined
    const { deleteTopicsV6 } = client.kafka
    await client.ask(`delete topic ${last}`, (connection) =>
      deleteTopicsV6.api.async(connection, [{ name: last }], DELETE_LIMIT_MS),
    )
  }
}

/** The metadata names a leader before that knows of it: it leads once it gives offsets. */
async function isReady(client: KafkaClient, name: string): Promise<boolean> {
  try {
    const topic = await ledTopic(client, name)
    const partitions = topic.leaders.map((_, partition) => ({ topic, partition }))
    await offsetsAt(client, partitions, LATEST)
    return true
  } catch (error) {
    if (error instanceof KafkaTrouble) return false
    throw error
  }
}

async function javaVersion(): Promise<string> {
  const { stderr } = await promisify(execFile)('java', ['-version'])
  return /version "([^"]+)"/.exec(stderr)?.[1] ?? stderr.trim()
}

/** Read off what runs. */
async function serverConfiguration({ dataPath, pid }: RunningSystem) {
  const properties = await readFile(join(dataPath, 'server.properties'), 'utf8')
  const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0')
  return {
    java: words.filter((word) => /^-(?:X|server$)/.test(word)).join(' '),
    server: Object.fromEntries(
      properties
        .trim()
        .split('\n')
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    ),
  }
}
