// `skein subscribe <stream>`: live samples as they are published, one per line.
import { once } from 'node:events'
import type { Command } from 'commander'
import { nearestName, type LiveFrame, type Missed } from '../../mesh/index.ts'
import {
  askFrom,
  meshInQuestion,
  onAnyPort,
  openSession,
  stopRequested,
  whereabouts,
  type Config,
} from '../../nodes/index.ts'
import { formatTime, toJsonFields } from '../../storage/index.ts'
import { contextOf, findMesh, wantsJson } from '../context.ts'
import { jsonLine } from '../format/json-line.ts'
import { timeUs as timeText } from '../format/units.ts'
import { note, warner, wholeNumber } from '../output.ts'
import { streamName } from '../stream-name.ts'

interface SubscribeFlags {
  readonly source?: string
  readonly count?: string
}

type LiveSession = Awaited<ReturnType<typeof openSession>>

/** Publishers find a new subscriber within two announcements; then silence means something. */
const SILENCE_MS = 3_000

const AFTER_HELP = `
Only what is published from now on; skein query has the rest.

Examples:
  skein subscribe vehicle.motion --source VH001,VH002
  skein subscribe '*' --json --count 100`

export function addSubscribe(program: Command): void {
  program
    .command('subscribe <stream>')
    .description("print live samples of a stream; '*' for all streams")
    .option('--source <a,b>', 'only these sources')
    .option('--count <n>', 'end after so many samples')
    .addHelpText('after', AFTER_HELP)
    .action(subscribe)
}

async function subscribe(stream: string, flags: SubscribeFlags, command: Command): Promise<void> {
  if (stream !== '*') streamName(stream)
  const limit = flags.count === undefined ? Infinity : wholeNumber('--count', flags.count)
  const { config } = findMesh(command, contextOf(command))
  const json = wantsJson(command)
  const sources = flags.source === undefined ? undefined : new Set(flags.source.split(','))
  const warn = warner(json)
  const stopping = stopRequested()
  await using session = await openSession(onAnyPort(config), {
    roles: ['subscriber'],
    onWarning: warn,
  })
  let printed = 0
  const enough = Promise.withResolvers<void>()
  const print = async (frames: readonly LiveFrame[]): Promise<void> => {
    for (const frame of frames) {
      for (const sample of frame.samples) {
        if (printed >= limit) return
        printed += 1
        const line = json ? sampleJson(frame, sample) : sampleText(frame, sample, stream === '*')
        if (!process.stdout.write(line)) await once(process.stdout, 'drain')
      }
    }
    if (printed >= limit) enough.resolve()
  }
  await session.subscriber({
    ...(stream !== '*' && { streams: [stream] }),
    ...(sources !== undefined && { sources }),
    onFrames: print,
    onMissed: (missed) => (json ? process.stderr.write(jsonLine({ missed })) : tellMissed(missed)),
  })
  const timer = setTimeout(() => {
    if (printed === 0) void whySilent(session, config, stream).then(warn)
  }, SILENCE_MS)
  await Promise.race([stopping, enough.promise])
  clearTimeout(timer)
}

/** What a person who sees nothing wants to know. */
async function whySilent(session: LiveSession, config: Config, stream: string): Promise<string> {
  const stores = session.membership.stores().length
  if (stores === 0) {
    return (
      `no peer answers ${whereabouts(config)}: is the mesh running (npm start), does --seed, ` +
      `--transport or --data name it, and is ${meshInQuestion(config)}? Waiting`
    )
  }
  const silent = `nothing was published on ${stream} in the last ${SILENCE_MS / 1000} s; waiting`
  if (stream === '*') return silent
  const known = await askFrom(session)
    .streams(AbortSignal.timeout(SILENCE_MS))
    .catch(() => [])
  const names = known.map((each) => each.stream)
  if (names.includes(stream)) return silent
  const near = nearestName(stream, names)
  const meant = near === undefined ? '' : ` Did you mean ${near}?`
  const all = names.length === 0 ? 'no stream at all' : names.join(', ')
  return `nobody has published ${stream} so far; waiting. Stored are: ${all}.${meant}`
}

type LiveSample = LiveFrame['samples'][number]

function sampleJson({ source, stream, late }: LiveFrame, { timeUs, fields }: LiveSample): string {
  const time = formatTime(timeUs)
  return jsonLine({ time, timeUs, source, stream, late, fields: toJsonFields(fields) })
}

function sampleText(frame: LiveFrame, { timeUs, fields }: LiveSample, isMixed: boolean): string {
  const values = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? JSON.stringify(value) : value}`,
  )
  const words = [
    timeText(timeUs),
    ...(isMixed ? [frame.stream] : []),
    frame.source,
    ...values,
    ...(frame.late ? ['(late)'] : []),
  ]
  return `${words.join(' ')}\n`
}

function tellMissed({ source, from, to, reason }: Missed): void {
  const which = from === to ? `frame ${from}` : `frames ${from} to ${to}`
  const why = reason === 'slow' ? 'this reader is too slow' : 'not received'
  note(`missed ${which} of ${source}: ${why}; skein query range has what is stored`)
}
