import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Setting } from './system.ts'
import { Exchange } from './testing.ts'
import { client, zeromqRaw } from './zeromq-raw.ts'

const SETTING: Setting = {
  system: 'zeromq-raw',
  tier: 'received',
  tuning: 'default',
  compress: false,
  copies: 1,
}

let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'skein-bench-zeromq-'))
})

afterAll(async () => {
  await rm(directory, { recursive: true, force: true })
})

test.each(['native', 'frame'] as const)(
  '%s - every message reaches the subscriber',
  async (form) => {
    await using deployment = await zeromqRaw.start(SETTING, directory)
    const channel = await deployment.channel(SETTING, `run-${form}`)
    await using exchange = await Exchange.open(client, channel, form)
    exchange.publish(10_000)
    await exchange.settled()
    expect(exchange.lost).toBe(0)
  },
)
