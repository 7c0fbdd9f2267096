// Kafka as the bench runs it: one broker for all settings, because durability, partitions and the rest
// belong to the topic, and each run gets a topic of its own.
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
  startSystem,
  type RunningSystem,
} from '../../systems/index.ts'
import { kafkaAccess, ledTopic } from './kafka-attempts.ts'
import { clientConfiguration, partitionsOf, topicSettings } from './kafka-settings.ts'
import { packageVersion } from './package-version.ts'
import { ServerDeployment } from './server-deployment.ts'
import type { BenchSystem, Channel, Setting } from './system.ts'

const NEW_TOPIC_LOOK_MS = 20
/** What the name of a topic may not hold. */
const FOREIGN = /[^A-Za-z0-9._-]/g

export const kafka: BenchSystem = {
  name: 'kafka',
  persists: true,
  tiers: ['written', 'synced'],
  missing: () =>
    isInstalled('kafka') ? undefined : `it is not installed: ${installCommand('kafka')}`,
  deploymentKey: () => 'kafka',
  start: async (_setting, directory) => {
    const server = await startSystem('kafka', {
      dataPath: join(directory, 'kafka'),
      kafka: { vendorJava: true },
    })
    return new ServerDeployment({
      server,
      versions: {
        kafka: server.version,
        java: await javaVersion(),
        '@platformatic/kafka': packageVersion('@platformatic/kafka'),
      },
      configuration: { ...(await serverConfiguration(server)), ...clientConfiguration() },
      openChannel: (setting, name) => openTopic(server.address, setting, name),
    })
  },
}

async function openTopic(address: string, setting: Setting, name: string): Promise<Channel> {
  const topic = name.replaceAll(FOREIGN, '-')
  const client = new KafkaClient(await kafkaAccess(address, 'bench'))
  try {
    await client.connect()
    await client.createTopic({
      name: topic,
      partitions: partitionsOf(setting),
      replication: 1,
      configs: topicSettings(setting),
    })
    while (!(await isReady(client, topic))) await client.wait(NEW_TOPIC_LOOK_MS)
  } finally {
    client.close()
  }
  return { setting, name: topic, address }
}

/** The metadata names a leader before that knows of it: it leads once it gives offsets. */
async function isReady(client: KafkaClient, name: string): Promise<boolean> {
  try {
    const { topic } = await ledTopic(client, name)
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
