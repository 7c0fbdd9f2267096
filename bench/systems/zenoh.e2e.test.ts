import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { systemSuite } from '../../systems/testing.ts'
import type { Setting } from './system.ts'
import { Exchange } from './testing.ts'
import { client, zenoh } from './zenoh.ts'

const SETTING: Setting = {
  system: 'zenoh',
  tier: 'received',
  tuning: 'default',
  compress: false,
  copies: 1,
}

systemSuite('zenoh', () => {
  test('what is put reaches who subscribes', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'skein-bench-zenoh-'))
    try {
      await using deployment = await zenoh.start(SETTING, directory)
      const channel = await deployment.channel(SETTING, 'bench.run-1')
      await using exchange = await Exchange.open(client, channel)
      exchange.publish(1_000)
      await exchange.settled()
      expect(exchange.receipts.size).toBe(0)
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  })
})
