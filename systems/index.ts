// Real Kafka, NATS and Zenoh on this machine, for tests, benchmarks and first steps. Imports none of the
// other folders; cli, bench and every test may use it.
export { SystemError, SYSTEM_ERROR_CODES, type SystemErrorCode } from './errors.ts'
export { install, installCommand, isInstalled, type InstallOptions } from './install.ts'
export { kafkaCluster, kafkaTool } from './kafka.ts'
export { natsTool } from './nats.ts'
export {
  startSystem,
  type RunningSystem,
  type RunningZenoh,
  type StartOptions,
  type StopOptions,
} from './start.ts'
export {
  SYSTEM_NAMES,
  type KafkaCluster,
  type KafkaOptions,
  type NatsOptions,
  type Program,
  type SystemName,
  type ZenohOptions,
} from './system.ts'
export { freePort } from './ports.ts'
