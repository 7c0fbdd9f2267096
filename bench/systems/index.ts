// The systems by name, for the process that runs the bench.
import type { BenchSystem, BenchSystemName } from './system.ts'
import { kafka } from './kafka.ts'
import { natsCore } from './nats-core.ts'
import { nats } from './nats.ts'
import { skein } from './skein.ts'
import { zenoh } from './zenoh.ts'
import { zeromqRaw } from './zeromq-raw.ts'

export const BENCH_SYSTEMS: Readonly<Record<BenchSystemName, BenchSystem>> = {
  skein,
  kafka,
  nats,
  'nats-core': natsCore,
  zenoh,
  'zeromq-raw': zeromqRaw,
}
