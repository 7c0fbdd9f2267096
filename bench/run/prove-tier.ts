// Proof that a receipt means what its tier says: samples are published one at a time, each after the
// receipt of the one before, while the kernel counts the servers' fsyncs.
import type { Load } from '../load.ts'
import { FsyncCounter, FSYNCS_HINT } from '../measure/fsyncs.ts'
import { nowUs } from '../measure/clock.ts'
import { baseUsNow } from '../readings.ts'
import type { Deployment } from '../systems/system.ts'
import { Client } from './client.ts'
import type { Cell } from './run.ts'

const SAMPLES = 50
const RATE = 50
/** Servers also sync for reasons of their own: a new file, a checkpoint. */
const OWN_FSYNCS = 0.3

export interface Proof {
  readonly finding: string
  readonly isMismatch: boolean
}

/** 20 ms apart, a receipt is long there before the next sample: none can share another's fsync. */
const LOAD: Load = {
  form: 'native',
  samplesPerFrame: 1,
  sources: 10,
  publishers: 1,
  subscribers: 0,
  rate: RATE,
  schedule: 'fixed',
  warmupSeconds: 0.5,
  seconds: SAMPLES / RATE,
  seed: 1,
}

export async function proveTier(
  { setting, system }: Cell,
  deployment: Deployment,
  channelName: string,
): Promise<Proof> {
  const channel = await deployment.channel(setting, channelName)
  await using publisher = await Client.start('publisher', {
    channel,
    load: LOAD,
    process: 0,
    baseUs: baseUsNow(),
  })
  publisher.send({ type: 'go', startUs: nowUs() })
  const { progress: opened } = await publisher.next('window')
  const counter = await FsyncCounter.start(deployment.servers().map(({ pid }) => pid))
  if (counter === undefined) return { finding: FSYNCS_HINT, isMismatch: false }
  const { progress: closed } = await publisher.next('window')
  const fsyncs = await counter.stop()
  const receipts = closed.receipts - opened.receipts
  const { flushMessages = 1 } = setting.extra ?? {}
  const how = flushMessages === 1 ? '' : `, of which every ${flushMessages}th waits for one`
  const finding = `${fsyncs} fsyncs for ${receipts} receipts one at a time${how}`
  const synced = Math.floor(receipts / flushMessages) * setting.copies
  // The counter opens a moment after the window does.
  const isSynced = fsyncs >= synced * (1 - OWN_FSYNCS)
  const isLazy = fsyncs < receipts * setting.copies * OWN_FSYNCS || system.syncsAnyway === true
  const isMismatch = receipts === 0 || (setting.tier === 'synced' ? !isSynced : !isLazy)
  return { finding: isMismatch ? `${finding}: that is not ${setting.tier}` : finding, isMismatch }
}
