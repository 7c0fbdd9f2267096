// `skein subscribe <stream>`: live samples as they are published, one per line.
import type { Command } from 'commander'
import type { LiveFrame, Missed } from '../../mesh/index.ts'
import { openSession, stopRequested } from '../../nodes/index.ts'
import { formatTime, toJsonFields } from '../../storage/index.ts'
import { contextOf, findMesh, wantsJson } from '../context.ts'
import { note, UsageError, warn } from '../output.ts'

interface SubscribeFlags {
  readonly source?: string
  readonly count?: string
}

export function addSubscribe(program: Command): void {
  program
    .command('subscribe <stream>')
    .description('print live samples; * for all streams')
    .option('--source <a,b>', 'only these sources')
    .option('--count <n>', 'end after so many samples')
    .action(subscribe)
}

async function subscribe(stream: string, flags: SubscribeFlags, command: Command): Promise<void> {
  const { config } = findMesh(command, contextOf(command))
  const json = wantsJson(command)
  const limit = countOf(flags.count)
  const sources = flags.source === undefined ? undefined : new Set(flags.source.split(','))
  await using session = await openSession(config, { roles: ['subscriber'], onWarning: warn })
  let printed = 0
  const enough = Promise.withResolvers<void>()
  const print = async (frames: readonly LiveFrame[]): Promise<void> => {
    for (const frame of frames) {
      for (const { timeUs, fields } of frame.samples) {
        if (printed >= limit) return
        printed += 1
        const sample = { timeUs, source: frame.source, stream: frame.stream, late: frame.late }
        const line = json
          ? JSON.stringify({ ...sample, fields: toJsonFields(fields) })
          : `${formatTime(timeUs)} ${frame.source} ${fieldsText(fields)}${frame.late ? ' (late)' : ''}`
        if (!process.stdout.write(`${line}\n`)) {
          await new Promise<void>((resolve) => process.stdout.once('drain', resolve))
        }
      }
    }
    if (printed >= limit) enough.resolve()
  }
  await session.subscriber({
    ...(stream !== '*' && { streams: [stream] }),
    ...(sources !== undefined && { sources }),
    onFrames: print,
    onMissed: (missed) => note(json ? JSON.stringify({ missed }) : missedText(missed)),
  })
  await Promise.race([stopRequested(), enough.promise])
}

function fieldsText(fields: LiveFrame['samples'][number]['fields']): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? JSON.stringify(value) : value}`)
    .join(' ')
}

function missedText({ source, from, to, reason }: Missed): string {
  const which = from === to ? `frame ${from}` : `frames ${from} to ${to}`
  const why = reason === 'slow' ? 'this reader is too slow' : 'not received'
  return `missed ${which} of ${source}: ${why}`
}

function countOf(text: string | undefined): number {
  if (text === undefined) return Infinity
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1) {
    throw new UsageError(`--count ${text} is not a whole number above 0`)
  }
  return count
}
