// A process that subscribes: notes which samples come, and when.
import { cpuUsage } from 'node:process'
import type { Load } from '../load.ts'
import { nowUs } from '../measure/clock.ts'
import { numberOf, readingsOf } from '../readings.ts'
import { clientOf } from '../systems/clients.ts'
import type { Consumed } from '../systems/system.ts'
import { serveClient, tell } from './client-process.ts'
import { batchesPerSecond, numbersEnd } from './messages.ts'
import { Persister, type Row } from './sink.ts'
import { Tally } from './tally.ts'

/** A Poisson plan may have more batches than its rate says. */
const BATCHES_SPARE = 1.2
const BATCHES_MORE = 1_000

serveClient(async ({ channel, load, process, baseUs, fromStart, sinkPath }) => {
  const { rate, warmupSeconds, seconds } = load
  const batches =
    rate &&
    Math.ceil(batchesPerSecond(load) * (warmupSeconds + seconds) * BATCHES_SPARE) + BATCHES_MORE
  const tally = new Tally(batches && numbersEnd(batches, load))
  const arrive = (samples: readonly { readonly timeUs: number }[]): void => {
    const atUs = nowUs()
    for (const { timeUs } of samples) tally.add(numberOf(baseUs, timeUs), atUs)
  }
  const persister =
    load.sink &&
    new Persister({ kind: load.sink, path: sinkPath!, names: namesOf(load, baseUs) }, arrive)
  const client = await clientOf(channel.setting.system)
  const [openedUs, cpu] = [nowUs(), cpuUsage()]
  const consumer = await client.openConsumer({
    channel,
    form: load.form,
    process,
    ...(fromStart !== undefined && { fromStart }),
    onSamples:
      persister === undefined
        ? arrive
        : (samples, source) => persister.take(rowsOf(samples, source)),
  })
  return {
    report(withTimes) {
      const { count, duplicates, timesUs } = tally
      const { user, system } = cpuUsage(cpu)
      tell({
        type: 'arrived',
        arrived: {
          openedUs,
          cpuSeconds: (user + system) / 1e6,
          count,
          duplicates,
          ...(withTimes && timesUs && { arrivalUs: timesUs }),
        },
      })
    },
    async close() {
      await consumer.close()
      persister?.close()
    },
  }
})

/** Of the fields that are published. */
function namesOf(load: Load, baseUs: number): string[] {
  const { schema } = readingsOf({ ...load, sources: 1 }, baseUs)
  return Object.keys(schema['properties'] as object)
}

function rowsOf(samples: readonly Consumed[], source: string | undefined): Row[] {
  return samples.map((sample) => ({
    source: sample.source ?? source!,
    timeUs: sample.timeUs,
    fields: sample.fields!,
  }))
}
