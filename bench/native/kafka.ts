// What Kafka's own producer makes of the same payloads: kafka-producer-perf-test, on a broker that runs.
import { isUtf8 } from 'node:buffer'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { kafkaTool } from '../../systems/index.ts'

const TOOL = 'org.apache.kafka.tools.ProducerPerformance'
/** Between payloads in a file: JSON holds none. */
const LINE_FEED = '\n'
/** Before those that count, so that Java has compiled what it runs. */
const WARM_UP_SHARE = 0.25
/** Of the tool's, which calls them MB. */
const MEBIBYTE = 1_048_576

export interface NativeKafkaOptions {
  readonly address: string
  /** It exists, with the settings that it is to have. */
  readonly topic: string
  /** Sent in an order of the tool's own. For binary ones it sends random letters of their mean length. */
  readonly payloads: readonly Buffer[]
  /** How many count. */
  readonly records: number
  /** Of the producer, by Kafka's names. */
  readonly settings: Readonly<Record<string, string | number>>
}

export interface NativeKafkaResult {
  readonly recordsPerSecond: number
  /** Payloads only, 10^6 bytes. */
  readonly megabytesPerSecond: number
  /** From send() to the answer: as fast as it can be, that is the time in the producer's buffer. */
  readonly p50Ms: number
  readonly p99Ms: number
}

export async function nativeKafka(options: NativeKafkaOptions): Promise<NativeKafkaResult> {
  const { address, topic, records, settings } = options
  const folder = await mkdtemp(join(tmpdir(), 'skein-kafka-native-'))
  try {
    const warmUp = Math.ceil(records * WARM_UP_SHARE)
    const words = Object.entries({
      '--bootstrap-server': address,
      '--topic': topic,
      '--num-records': records + warmUp,
      '--warmup-records': warmUp,
      '--throughput': -1,
      ...(await payloadWord(options.payloads, folder)),
    })
    const properties = Object.entries(settings).map(([key, value]) => `${key}=${value}`)
    const tool = kafkaTool(TOOL, [...words.flat().map(String), '--command-property', ...properties])
    const { stdout } = await promisify(execFile)(tool.command, [...tool.words])
    return resultOf(stdout)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function payloadWord(
  payloads: readonly Buffer[],
  folder: string,
): Promise<Record<string, string | number>> {
  const isText = payloads.every((payload) => isUtf8(payload) && !payload.includes(LINE_FEED))
  if (!isText) {
    const bytes = payloads.reduce((sum, { length }) => sum + length, 0)
    return { '--record-size': Math.round(bytes / payloads.length) }
  }
  const file = join(folder, 'payloads')
  await writeFile(file, payloads.map((payload) => `${payload.toString()}${LINE_FEED}`).join(''))
  return { '--payload-file': file }
}

/** Exported for its test. @throws Error with what the tool said when it did not finish. */
export function resultOf(said: string): NativeKafkaResult {
  const match =
    /steady state records sent, ([\d.]+) records\/sec \(([\d.]+) MB\/sec\).* (\d+) ms 50th,.* (\d+) ms 99th/.exec(
      said,
    )
  if (match === null) throw new Error(`kafka-producer-perf-test did not finish: ${said.trim()}`)
  const [recordsPerSecond, mebibytes, p50Ms, p99Ms] = match.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
  ]
  return {
    recordsPerSecond,
    megabytesPerSecond: (mebibytes * MEBIBYTE) / 1e6,
    p50Ms,
    p99Ms,
  }
}
