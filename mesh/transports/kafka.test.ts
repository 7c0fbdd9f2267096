import { afterAll, beforeAll } from 'vitest'
import { startSystem, type RunningSystem } from '../../systems/index.ts'
import { systemSuite } from '../../systems/testing.ts'
import type { CreateOptions } from '../conformance/transport-rig.ts'
import { MESH } from '../conformance/transport-rig.ts'
import { transportSuite } from '../conformance/transport-suite.ts'
import { systemClock, systemRandom } from '../system.ts'
import { KafkaTransport } from './kafka.ts'

systemSuite('kafka', () => {
  let kafka: RunningSystem

  beforeAll(async () => {
    kafka = await startSystem('kafka')
  }, 90_000)

  afterAll(async () => {
    await kafka?.stop()
  })

  const create = ({ linkQueueBytes: queueBytes, ...options }: CreateOptions): KafkaTransport =>
    new KafkaTransport({
      meshName: 'suite',
      meshId: MESH,
      clock: systemClock,
      random: systemRandom,
      brokers: [kafka.address],
      ...(queueBytes !== undefined && { queueBytes }),
      ...options,
    })

  transportSuite('kafka', {
    capabilities: {
      brokered: true,
      ordered: true,
      replays: true,
      messageBytesMax: 8 * 1024 * 1024,
    },
    setup: () => ({ create: (options) => Promise.resolve(create(options)) }),
  })
})
