// The clients by system, loaded where they are used: a process holds those of one system only.
import type { BenchClient, BenchSystemName } from './system.ts'

export async function clientOf(name: BenchSystemName): Promise<BenchClient> {
  switch (name) {
    case 'skein':
      return (await import('./skein-client.ts')).client
    case 'kafka':
      return (await import('./kafka-client.ts')).client
    case 'nats':
      return (await import('./nats-client.ts')).client
    case 'nats-core':
      return (await import('./nats-core.ts')).client
    case 'zenoh':
      return (await import('./zenoh.ts')).client
    case 'zeromq-raw':
      return (await import('./zeromq-raw.ts')).client
  }
}
