import { kafka } from './kafka.ts'
import { nats } from './nats.ts'
import type { System, SystemName } from './system.ts'
import { zenoh } from './zenoh.ts'

export const SYSTEMS: Readonly<Record<SystemName, System>> = { kafka, nats, zenoh }
