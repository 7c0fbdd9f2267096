// Is it the system that is slow, or the client that this bench uses? The vendors' own tools, in the same
// run: the same messages into the same servers, with the same settings.
import type { Load } from '../load.ts'
import { messageEncoder } from '../messages.ts'
import { nativeKafka } from '../native/kafka.ts'
import { nativeNats } from '../native/nats.ts'
import { readingsOf } from '../readings.ts'
import type { Run } from '../result.ts'
import { PRODUCER_TUNINGS, producerSettings } from '../systems/kafka-settings.ts'
import { publishingOf } from '../systems/nats-settings.ts'
import type { Setting } from '../systems/system.ts'
import { FIGURES, median } from '../stats/figures.ts'
import { payloadName } from './payloads.ts'
import type { Context } from './scenario.ts'

/** What the tools send is made beforehand and sent in turn. */
const PAYLOADS = 1_000
/** Long enough to be measured, at the rate that our client had. */
const SECONDS = 3

/** For every run of a broker at its throughput tuning, synced: what the vendor's tool makes of it. */
export async function measureNatives({ runner }: Context): Promise<void> {
  const cells = Map.groupBy(runner.runs.filter(isOfInterest), ({ setting, load }) =>
    JSON.stringify([setting, payloadName(load)]),
  )
  for (const runs of cells.values()) {
    runner.signal.throwIfAborted()
    const { setting, load } = runs[0]!
    const oursPerSecond = median(runs, FIGURES.messagesPerSecond)
    if (oursPerSecond === undefined) continue
    const messages = Math.ceil(oursPerSecond * SECONDS)
    const payloads = payloadsOf(load)
    const deployment = await runner.deployment(setting)
    const channel = await deployment.channel(setting, runner.channelName())
    const run = setting.system === 'kafka' ? throughKafka : throughNats
    const { tool, messagesPerSecond } = await run(channel, setting, payloads, messages)
    const payload = payloadName(load)
    runner.natives.push({ system: setting.system, tool, payload, messagesPerSecond, oursPerSecond })
    runner.say(
      `  ${tool}, ${payload}: ${Math.round(messagesPerSecond).toLocaleString('en')} messages/s`,
    )
  }
}

function isOfInterest({ setting, load }: Run): boolean {
  const { system, tier, tuning } = setting
  const isTool = system === 'kafka' || system === 'nats'
  const isPayload = load.form === 'native' || load.readings === 'blocks'
  return isTool && tier === 'synced' && tuning === 'throughput' && isPayload
}

function payloadsOf(load: Load): Buffer[] {
  const readings = readingsOf(load, 0)
  const encode = messageEncoder(load.form, 'bench', readings.sources)
  return Array.from({ length: PAYLOADS }, (_, i) => {
    const source = i % load.sources
    return encode(source, readings.samples(source, i, 1))
  })
}

interface Native {
  readonly tool: string
  readonly messagesPerSecond: number
}

interface Target {
  readonly name: string
  readonly address: string
}

async function throughKafka(
  { address, name }: Target,
  setting: Setting,
  payloads: readonly Buffer[],
  records: number,
): Promise<Native> {
  const settings = { ...producerSettings(setting), ...PRODUCER_TUNINGS[setting.tuning] }
  const { recordsPerSecond } = await nativeKafka({
    address,
    topic: name,
    payloads,
    records,
    settings,
  })
  return { tool: 'kafka-producer-perf-test', messagesPerSecond: recordsPerSecond }
}

async function throughNats(
  { address, name }: Target,
  setting: Setting,
  payloads: readonly Buffer[],
  messages: number,
): Promise<Native> {
  const { batches, batchMessages, unanswered } = publishingOf(setting)
  const mode = batches === undefined ? 'async' : 'batch'
  const { messagesPerSecond } = await nativeNats({
    address,
    stream: name,
    subject: `${name}.bench`,
    payload: payloads[0]!,
    messages,
    mode,
    window: batches === undefined ? unanswered : batchMessages,
  })
  return { tool: `nats bench js pub ${mode}`, messagesPerSecond }
}
