// Publishing to and subscribing from a Skein mesh, as any program would.
import { systemClock, type Publisher, type Session, type Transport } from '../../mesh/index.ts'
import {
  loadConfig,
  onAnyPort,
  openPublisher,
  openSession,
  parseOverride,
  readersLinked,
  type Config,
} from '../../nodes/index.ts'
import type { Form } from '../load.ts'
import { readFromStart } from './skein-reader.ts'
import { publisherSettings, skeinSettings } from './skein-settings.ts'
import type { BenchClient, Channel, Consumer, Producer } from './system.ts'

const DRAIN_MS = 5_000

export const client: BenchClient = {
  async openProducer({
    channel,
    form,
    samplesPerFrame,
    sources,
    schema,
    process,
    onReceipt,
    onLost,
  }) {
    const config = configOf(channel, form)
    const session = await openSession(config, {})
    const publisher = await openPublisher(session, config, {
      outboxName: `bench-${process}`,
      schemas: { [channel.name]: schema },
      onReceipt: ({ timesUs }) => onReceipt(timesUs.map((timeUs) => ({ timeUs }))),
    })
    const series = sources.map((source) => publisher.series(channel.name, source))
    await readersLinked(session)
    await storesLinked(session, channel.setting.copies)
    // One sample at a time is gathered as the mesh likes; more are a frame of just so many.
    const isFrame = samplesPerFrame > 1 || channel.setting.extra?.['exactFrames'] === 1
    return {
      hasReceipts: true,
      publish(source, samples) {
        const isTaken = isFrame
          ? series[source]!.publishFrame(samples)
          : series[source]!.publish(samples[0]!)
        if (!isTaken) onLost(samples.length, 'the outbox was full')
      },
      ...sentBy(session.transport, publisher),
      async close() {
        await publisher.close({ drainMs: DRAIN_MS })
        await session.close()
      },
    } satisfies Producer
  },

  async openConsumer({ channel, form, fromStart, onSamples }): Promise<Consumer> {
    const config = configOf(channel, form)
    if (fromStart) return await readFromStart(config, channel.name, onSamples)
    const session = await openSession(onAnyPort(config), { roles: ['subscriber'] })
    await session.subscriber({
      streams: [channel.name],
      onFrames: (frames) => {
        for (const { samples, source } of frames) onSamples(samples, source)
      },
    })
    return { close: () => session.close() }
  },
}

function sentBy(transport: Transport, publisher: Publisher) {
  return {
    sentBytes: () => transport.counters().sentBytes,
    /** Frames: what one of them is to a store, a message is to a broker. */
    sentMessages: () => publisher.counters.framesStored,
  }
}

/** The stores that must acknowledge are linked: the first samples do not pay for dialling them. */
async function storesLinked({ membership }: Session, copies: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const look = (): void => {
    const able = membership
      .stores()
      .filter(({ suspect, refusing }) => !suspect && refusing === undefined)
    if (able.length >= copies) resolve()
    else systemClock.startTimer(LOOK_MS, look)
  }
  look()
  // The timers of the system's clock keep nothing alive.
  const alive = setInterval(() => undefined, 1_000)
  await promise
  clearInterval(alive)
}

const LOOK_MS = 10

function configOf({ setting, address }: Channel, form: Form): Config {
  const settings = skeinSettings(publisherSettings(setting, form))
  const { config } = loadConfig({
    cwd: process.cwd(),
    env: {},
    overrides: [
      { key: 'seeds', value: [address], flag: 'bench' },
      ...settings.map((text) => parseOverride(text)),
    ],
  })
  return config
}
