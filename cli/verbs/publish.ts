// `skein publish <stream> [file|-]`: rows in, acknowledged on W stores before it exits 0.
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { Option, type Command } from 'commander'
import { systemClock, type Sample } from '../../mesh/index.ts'
import {
  openPublisher,
  openSession,
  readersLinked,
  SensorNode,
  stopRequested,
} from '../../nodes/index.ts'
import { contextOf, findMesh, wantsJson } from '../context.ts'
import { drain, tellUndelivered } from '../drain.ts'
import { EXIT } from '../exit-codes.ts'
import { note, printJson, UsageError, warner, wholeNumber } from '../output.ts'
import { orStop } from '../or-stop.ts'
import { Refusals } from '../refusals.ts'
import { readRows, type RowResult } from '../rows.ts'
import { streamName } from '../stream-name.ts'
import { tellWhenWaiting } from '../waiting.ts'

interface PublishFlags {
  readonly source?: string
  readonly sourceField?: string
  readonly timeField?: string
  readonly strict?: boolean
  readonly timeout: string
}

const AFTER_HELP = `
Rows are JSON objects, one a line, or CSV with a header. A row is refused, with
its number and the reason, when it cannot be read or breaks the stream's schema
(publisher.streams in skein.yaml); the rest goes through. Exit code 1 when every
row was refused, or any with --strict.

Examples:
  echo '{"source":"S1","temperature":21.5}' | skein publish city.air
  skein publish city.air day.csv --source-field station --time-field at`

export function addPublish(program: Command): void {
  program
    .command('publish <stream> [file]')
    .description('publish NDJSON or CSV rows from a file or stdin (-)')
    .option('--source <id>', 'source of rows that name none')
    .option(
      '--source-field <name>',
      'field that holds the source (default: source, vehicle_id, sensor_id …)',
    )
    .option(
      '--time-field <name>',
      'field that holds the time (default: time, timestamp …; none: now)',
    )
    .option('--strict', 'stop at the first refused row, with exit code 1')
    .addOption(
      new Option('--timeout <seconds>', 'how long to wait for acknowledgements at the end').default(
        '30',
        '30',
      ),
    )
    .addHelpText('after', AFTER_HELP)
    .action(publish)
}

async function publish(
  stream: string,
  file: string | undefined,
  flags: PublishFlags,
  command: Command,
): Promise<void> {
  streamName(stream)
  const timeoutMs = wholeNumber('--timeout', flags.timeout, 0) * 1000
  const { config } = findMesh(command, contextOf(command))
  const json = wantsJson(command)
  const warn = warner(json)
  const input = await openInput(file)
  await using session = await openSession(config, { onWarning: warn })
  const refusals = new Refusals(json)
  const rowOf = new WeakMap<Sample, number>()
  const publisher = await openPublisher(session, config, {
    outboxName: 'publish',
    onWarning: warn,
    onUnfit: ({ sample, error }) => {
      const row = rowOf.get(sample)
      if (row !== undefined) sensor.published -= 1
      const of = row === undefined ? 'a sample of an earlier run, in the disk outbox: ' : ''
      refusals.add(row ?? 0, of + error.message)
    },
  })
  using _waiting = tellWhenWaiting(publisher, config, warn)
  const stopping = stopRequested()
  const sensor = new SensorNode(publisher, stream)
  await Promise.race([readersLinked(session), stopping])
  const rows = readRows(input, { ...flags, nowUs: () => systemClock.nowUs() })
  await publishRows(rows, { sensor, refusals, rowOf, strict: flags.strict === true }, stopping)
  input.destroy()
  const undelivered = await drain(publisher, { timeoutMs, stopping })
  const stored = publisher.counters.samplesStored
  const refused = refusals.count
  const { published } = sensor
  if (json) printJson({ stream, published, stored, refused, undelivered })
  else note(`${published} published, ${stored} stored, ${refused} refused`)
  if (undelivered > 0) tellUndelivered(undelivered, publisher, config, warn)
  else if (refusals.areFailure(published, flags.strict === true)) process.exitCode = EXIT.failed
}

interface RowSink {
  readonly sensor: SensorNode
  readonly refusals: Refusals
  /** For samples that turn out to fit no frame once they are gathered. */
  readonly rowOf: WeakMap<Sample, number>
  readonly strict: boolean
}

async function publishRows(
  rows: AsyncGenerator<RowResult>,
  { sensor, refusals, rowOf, strict }: RowSink,
  stopping: Promise<unknown>,
): Promise<void> {
  const unlessStopped = orStop(stopping)
  for (;;) {
    const next = await unlessStopped(rows.next())
    if (next === 'stop' || next.done === true) return
    const { value } = next
    if ('reading' in value) rowOf.set(value.reading.sample, value.row)
    const reason =
      'reason' in value
        ? value.reason
        : // With the outbox full this may take as long as the stores are away.
          await unlessStopped(sensor.publish(value.reading))
    if (reason === 'stop') return
    if (reason !== undefined) refusals.add(value.row, reason)
    if (strict && refusals.count > 0) return
  }
}

async function openInput(file: string | undefined): Promise<Readable> {
  if (file === undefined || file === '-') {
    if (process.stdin.isTTY) note('reading rows from the terminal: end with Ctrl-D')
    return process.stdin
  }
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => error)
  if (found instanceof Error) {
    throw new UsageError(
      found.code === 'ENOENT' ? `${file} does not exist` : `${file} cannot be read: ${found.code}`,
    )
  }
  if (!found.isFile() && !found.isFIFO()) throw new UsageError(`${file} is not a file`)
  return createReadStream(file)
}
