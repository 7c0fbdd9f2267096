import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemSuite } from '../../systems/testing.ts'
import { nativeKafka } from '../native/kafka.ts'
import { client } from './kafka-client.ts'
import { producerSettings } from './kafka-settings.ts'
import { kafka } from './kafka.ts'
import { TUNINGS, type Deployment, type Setting, type Tier, type Tuning } from './system.ts'
import { Exchange } from './testing.ts'

/** Kafka formats its disk, starts, is killed and starts: some 10 s when the machine has nothing else. */
const LIMIT_MS = 120_000

const setting = (tier: Tier, tuning: Tuning, changes: Partial<Setting> = {}): Setting => ({
  system: 'kafka',
  tier,
  tuning,
  compress: false,
  copies: 1,
  ...changes,
})

systemSuite('kafka', () => {
  let directory: string
  let deployment: Deployment

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'skein-bench-kafka-'))
    deployment = await kafka.start(setting('synced', 'default'), directory)
  }, LIMIT_MS)

  afterAll(async () => {
    await deployment[Symbol.asyncDispose]()
    await rm(directory, { recursive: true, force: true })
  }, LIMIT_MS)

  test.each(kafka.tiers.flatMap((tier) => TUNINGS.map((tuning) => [tier, tuning] as const)))(
    '%s, %s - each sample has its receipt and arrives once',
    async (tier, tuning) => {
      const channel = await deployment.channel(setting(tier, tuning), `each ${tier} ${tuning}`)
      await using exchange = await Exchange.open(client, channel)
      exchange.publish(1_000)
      await exchange.settled()
      await exchange.settled(await exchange.consumeAll())
    },
  )

  test('compressed, over several partitions - the same', async () => {
    const several = setting('written', 'default', { compress: true, extra: { partitions: 3 } })
    const channel = await deployment.channel(several, 'several')
    await using exchange = await Exchange.open(client, channel)
    exchange.publish(5_000)
    await exchange.settled()
  })

  test('frames - one message for all samples of a batch', async () => {
    const channel = await deployment.channel(setting('written', 'throughput'), 'frames')
    await using exchange = await Exchange.open(client, channel, 'frame')
    exchange.publish(1_000, 100)
    await exchange.settled()
  })

  test(
    'a broker that is killed and comes back - loses and repeats nothing',
    { timeout: LIMIT_MS },
    async () => {
      const partitions = { extra: { partitions: 3 } }
      const channel = await deployment.channel(setting('synced', 'default', partitions), 'killed')
      await using exchange = await Exchange.open(client, channel)
      exchange.publish(5_000)
      await exchange.received(1)
      await deployment.kill()
      expect(deployment.servers()).toEqual([])
      exchange.publish(1_000)
      await deployment.restart()
      exchange.publish(1_000)
      await exchange.settled()
      await exchange.settled(await exchange.consumeAll())
    },
  )

  test(
    'several brokers - copies on all of them, partitions led by each, the same when all were killed',
    { timeout: 3 * LIMIT_MS },
    async () => {
      const copies = setting('synced', 'throughput', { copies: 3, extra: { partitions: 3 } })
      await using cluster = await kafka.start(copies, join(directory, 'cluster'))
      expect(cluster.servers().map(({ name }) => name)).toEqual(['kafka-1', 'kafka-2', 'kafka-3'])
      await using exchange = await Exchange.open(client, await cluster.channel(copies, 'copies'))
      exchange.publish(5_000)
      await exchange.settled()
      exchange.publish(5_000)
      await exchange.received(5_001)
      await cluster.kill()
      await cluster.restart()
      exchange.publish(1_000)
      // What was under way when all were killed at once may be there twice: Kafka knows a producer's
      // numbers as long as its brokers do, and repeats were seen here on a busy machine.
      await exchange.whole()
      await exchange.whole(await exchange.consumeAll())
    },
  )

  test("Kafka's own tool - says how fast it was", { timeout: LIMIT_MS }, async () => {
    const throughput = setting('written', 'throughput')
    const { address, name } = await deployment.channel(throughput, 'native')
    const settings = producerSettings(throughput)
    for (const payloads of [
      ['{"a":1}', '{"a":2}'],
      ['\n', 'a\n'],
    ]) {
      const result = await nativeKafka({
        address,
        topic: name,
        payloads: payloads.map((payload) => Buffer.from(payload)),
        records: 1_000,
        settings,
      })
      expect(result.recordsPerSecond).toBeGreaterThan(0)
      expect(result.p99Ms).toBeGreaterThanOrEqual(result.p50Ms)
    }
  })
})
