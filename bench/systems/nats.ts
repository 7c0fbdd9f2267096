// JetStream as the bench runs it: one nats-server, a stream with one copy for each run. sync_interval is
// the server's, so receipts that vouch for a sync take a server of their own.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { installCommand, isInstalled, startSystem } from '../../systems/index.ts'
import { CONSUMER_SETTINGS, publishingOf, streamSettings, syncsAlways } from './nats-settings.ts'
import { packageVersion } from './package-version.ts'
import { ServerDeployment } from './server-deployment.ts'
import { TUNINGS, type BenchSystem, type Channel, type Setting, type Tier } from './system.ts'

/** What the name of a stream may not hold. */
const FOREIGN = /[^A-Za-z0-9_-]/g

export const nats: BenchSystem = {
  name: 'nats',
  persists: true,
  tiers: ['received', 'written', 'synced'],
  missing: natsMissing,
  deploymentKey: ({ tier }) => (syncsAlways(tier) ? 'nats-sync-always' : 'nats'),
  start: async ({ tier }, directory) => {
    const server = await startSystem('nats', {
      dataPath: join(directory, 'nats'),
      nats: { syncAlways: syncsAlways(tier) },
    })
    const { address, version, dataPath } = server
    return new ServerDeployment({
      servers: [server],
      versions: {
        ...natsVersions(version),
        '@nats-io/jetstream': packageVersion('@nats-io/jetstream'),
      },
      configuration: {
        server: JSON.parse(await readFile(join(dataPath, 'nats-server.conf'), 'utf8')),
        ...clientConfiguration(tier),
      },
      openChannel: (setting, name) => openStream(address, setting, name),
    })
  },
}

export function natsMissing(): string | undefined {
  return isInstalled('nats') ? undefined : `it is not installed: ${installCommand('nats')}`
}

export function natsVersions(server: string): Record<string, string> {
  const client = '@nats-io/transport-node'
  return { 'nats-server': server, [client]: packageVersion(client) }
}

async function openStream(address: string, setting: Setting, name: string): Promise<Channel> {
  const stream = name.replaceAll(FOREIGN, '-')
  const connection = await connect({ servers: address })
  try {
    const manager = await jetstreamManager(connection)
    await manager.streams.add({
      ...streamSettings(setting),
      name: stream,
      subjects: [`${stream}.>`],
    })
  } finally {
    await connection.close()
  }
  return { setting, name: stream, address }
}

/** Of the tiers that share a server. */
function clientConfiguration(tier: Tier) {
  const tiers = nats.tiers.filter((each) => syncsAlways(each) === syncsAlways(tier))
  const ofEach = <Of>(of: (setting: Setting) => Of) =>
    Object.fromEntries(
      tiers.map((each) => [
        each,
        Object.fromEntries(
          TUNINGS.map((tuning) => [
            tuning,
            of({ system: 'nats', tier: each, tuning, compress: false, copies: 1 }),
          ]),
        ),
      ]),
    )
  return {
    subjects: 'one for each publisher',
    stream: ofEach(streamSettings),
    streamCompression: 's2 where compression is on',
    publishing: ofEach(publishingOf),
    resending: 'after a lost connection, what the stream does not have',
    consumer: { type: 'push, ephemeral', ...CONSUMER_SETTINGS },
  }
}
