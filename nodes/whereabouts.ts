// Where a process looks for the mesh, in words: for messages that say it found nobody.
import type { Config } from './config/config.ts'

/** `at tcp://127.0.0.1:7701`, `over NATS at nats://127.0.0.1:4222`. */
export function whereabouts({ transport, seeds }: Pick<Config, 'transport' | 'seeds'>): string {
  switch (transport.name) {
    case 'memory':
      return 'in this process'
    case 'zeromq':
      return `at ${seeds.join(', ') || 'any seed (none is given)'}`
    case 'hyperswarm':
      return `over Hyperswarm, with DHT nodes at ${transport.bootstrap.join(', ') || 'their public addresses'}`
    case 'zenoh':
      return `over the Zenoh bridge at ${transport.bridge}`
    case 'nats':
      return `over NATS at ${transport.servers.join(', ')}`
    case 'kafka':
      return `over Kafka at ${transport.brokers.join(', ')}`
  }
}

/** What may not be as it is elsewhere, as the end of a question: `its mesh.name city`. */
export function meshInQuestion({ mesh: { name, key } }: Pick<Config, 'mesh'>): string {
  return `its mesh.name ${name}${key === undefined ? ', without mesh.key' : ', with the same mesh.key'}`
}
