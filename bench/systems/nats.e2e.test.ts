import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemSuite } from '../../systems/testing.ts'
import { client as coreClient, natsCore } from './nats-core.ts'
import { client } from './nats-client.ts'
import { nats } from './nats.ts'
import { TUNINGS, type Deployment, type Setting, type Tier, type Tuning } from './system.ts'
import { Exchange } from './testing.ts'

const setting = (tier: Tier, tuning: Tuning): Setting => ({
  system: 'nats',
  tier,
  tuning,
  compress: false,
  copies: 1,
})

systemSuite('nats', () => {
  let directory: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'skein-bench-nats-'))
  })

  afterAll(async () => {
    await rm(directory, { recursive: true, force: true })
  })

  describe.each(nats.tiers)('%s', (tier) => {
    let deployment: Deployment

    beforeAll(async () => {
      deployment = await nats.start(setting(tier, 'default'), join(directory, tier))
    })

    afterAll(async () => {
      await deployment[Symbol.asyncDispose]()
    })

    test.each(TUNINGS)('%s - each sample has its receipt and arrives once', async (tuning) => {
      const channel = await deployment.channel(setting(tier, tuning), `each.${tuning}`)
      await using exchange = await Exchange.open(client, channel)
      exchange.publish(1_000)
      await exchange.settled()
      await exchange.settled(await exchange.consumeAll())
    })

    test('frames - one message for all samples of a batch', async () => {
      const channel = await deployment.channel(setting(tier, 'throughput'), 'frames')
      await using exchange = await Exchange.open(client, channel, 'frame')
      exchange.publish(1_000, 100)
      await exchange.settled()
    })

    test.skipIf(tier === 'received').each(TUNINGS)(
      '%s - a server that is killed and comes back loses and repeats nothing',
      async (tuning) => {
        const channel = await deployment.channel(setting(tier, tuning), `killed.${tuning}`)
        await using exchange = await Exchange.open(client, channel)
        // More than are answered before the first receipt is seen here.
        exchange.publish(tier === 'synced' ? 1_000 : 10_000)
        await exchange.received(1)
        await deployment.kill()
        exchange.publish(1_000)
        await deployment.restart()
        exchange.publish(1_000)
        await exchange.settled()
        await exchange.settled(await exchange.consumeAll())
      },
    )
  })

  test('core - what is published reaches who listens', async () => {
    const core: Setting = { ...setting('received', 'default'), system: 'nats-core' }
    await using deployment = await natsCore.start(core, join(directory, 'core'))
    const channel = await deployment.channel(core, 'core')
    await using exchange = await Exchange.open(coreClient, channel)
    exchange.publish(1_000)
    await exchange.settled()
    expect(exchange.receipts.size).toBe(0)
  })
})
