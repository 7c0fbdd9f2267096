// `skein publish <stream> [file|-]`: rows in, acknowledged on W stores before it exits 0.
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import type { Command } from 'commander'
import { systemClock } from '../../mesh/index.ts'
import { openPublisher, openSession, SensorNode, stopRequested } from '../../nodes/index.ts'
import { contextOf, findMesh, wantsJson } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { note, printJson, UsageError, warn } from '../output.ts'
import { readRows } from '../rows.ts'

interface PublishFlags {
  readonly source?: string
  readonly sourceField?: string
  readonly timeField?: string
  readonly strict?: boolean
  readonly timeout: string
}

/** Refused rows listed one by one; the rest is counted. */
const LISTED_MAX = 20

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
    .option('--strict', 'stop at the first refused row')
    .option('--timeout <seconds>', 'how long to wait for acknowledgements at the end', '30')
    .action(publish)
}

async function publish(
  stream: string,
  file: string | undefined,
  flags: PublishFlags,
  command: Command,
): Promise<void> {
  const { config } = findMesh(command, contextOf(command))
  const input = await openInput(file)
  await using session = await openSession(config, { onWarning: warn })
  const publisher = await openPublisher(session, config, { outboxName: 'publish' })
  const sensor = new SensorNode(publisher, stream)
  const stopping = stopRequested().then(() => 'stop' as const)
  let refused = 0
  const rows = readRows(input, { ...flags, nowUs: () => systemClock.nowUs() })
  for (;;) {
    const next = await Promise.race([rows.next(), stopping])
    if (next === 'stop' || next.done === true) break
    const result = next.value
    const reason = 'reason' in result ? result.reason : await sensor.publish(result.reading)
    if (reason === undefined) continue
    refused += 1
    if (refused <= LISTED_MAX) warn(`row ${result.row} refused: ${reason}`)
    if (refused === LISTED_MAX + 1) warn('more rows refused; counted, not listed')
    if (flags.strict === true) break
  }
  const undelivered = await publisher.close({ drainMs: Number(flags.timeout) * 1000 })
  const stored = publisher.counters.samplesStored
  if (wantsJson(command)) printJson({ stream, published: sensor.published, stored, refused })
  else note(`${sensor.published} published, ${stored} stored, ${refused} refused`)
  if (undelivered > 0) {
    const kept =
      config.publisher.outbox.diskBytes === undefined ? 'lost' : 'kept in the disk outbox'
    warn(
      `${undelivered} samples were not acknowledged and are ${kept}: ${publisher.trouble() ?? 'timeout'}`,
    )
    process.exitCode = EXIT.undelivered
  } else if (flags.strict === true && refused > 0) {
    process.exitCode = EXIT.failed
  }
}

async function openInput(file: string | undefined): Promise<Readable> {
  if (file === undefined || file === '-') return process.stdin
  const found = await stat(file).catch(() => undefined)
  if (found === undefined) throw new UsageError(`${file} does not exist`)
  if (!found.isFile() && !found.isFIFO()) throw new UsageError(`${file} is not a file`)
  return createReadStream(file)
}
