import { describe, expect, it } from 'vitest'
import { scenarioCommand, type Options } from './options.ts'

async function read(...words: string[]): Promise<Options> {
  let read: Options | undefined
  const command = scenarioCommand('latency', 'How long?', async (options) => {
    read = options
  })
  command.exitOverride().configureOutput({ writeErr: () => undefined })
  await command.parseAsync(words, { from: 'user' })
  return read!
}

describe('options', () => {
  it('compare with Kafka and NATS unless told otherwise', async () => {
    expect((await read()).against).toEqual(['kafka', 'nats'])
    expect((await read('--against', 'zenoh, nats-core')).against).toEqual(['zenoh', 'nats-core'])
    expect((await read('--against', 'none')).against).toEqual([])
  })

  it('reads lists of numbers, rates in order', async () => {
    const { rates, samplesPerFrame } = await read(
      '--rate',
      '5_000,100',
      '--samples-per-frame',
      '1,10',
    )
    expect(rates).toEqual([100, 5_000])
    expect(samplesPerFrame).toEqual([1, 10])
  })

  it('reads what is measured of a store', async () => {
    const options = await read(
      '--parts',
      'ingest,restart',
      '--payloads',
      'blocks',
      '--gigabytes',
      '0.5',
    )
    expect(options).toMatchObject({
      parts: ['ingest', 'restart'],
      payloads: ['blocks'],
      gigabytes: 0.5,
    })
    await expect(read('--parts', 'restrat')).rejects.toThrow('did you mean restart?')
  })

  it('leaves to the scenario what is not said', async () => {
    const options = await read('--quick')
    expect(options).toMatchObject({ quick: true, compress: false, seed: 1, out: 'results' })
    expect(options).toMatchObject({ tiers: undefined, tunings: undefined, blocks: undefined })
  })

  it.each([
    [['--against', 'kafak'], 'did you mean kafka?'],
    [['--against', 'postgres'], 'one of kafka, nats'],
    [['--tier', 'fsynced'], 'did you mean synced?'],
    [['--rate', 'fast'], 'fast is not a number of at least 1'],
    [['--blocks', '0'], '0 is not a number of at least 1'],
    [['--samples-per-frame', '1,,2'], 'is not a number'],
  ])('%s is refused, with what to do', async (words, message) => {
    await expect(read(...words)).rejects.toThrow(message)
  })

  it('knows an option that was nearly right', async () => {
    await expect(read('--quik')).rejects.toThrow('--quick')
  })
})
