// `skein replay <file> --map <mapping>`: a recording into the mesh, with its times and its disorder.
// Frames are named by what is in the file, so replaying it again stores nothing twice.
import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { Option, type Command } from 'commander'
import { systemClock, systemRandom, type Publisher } from '../../mesh/index.ts'
import { openPublisher, openSession, readersLinked, stopRequested } from '../../nodes/index.ts'
import {
  loadMapping,
  mappingPath,
  replayFile,
  SimError,
  type Replay,
  type ReplayFrame,
} from '../../sim/index.ts'
import { contextOf, findMesh, wantsJson } from '../context.ts'
import { counted } from '../counted.ts'
import { drain, tellUndelivered } from '../drain.ts'
import { EXIT } from '../exit-codes.ts'
import { note, printJson, UsageError, warner, wholeNumber } from '../output.ts'
import { orStop, type OrStop } from '../or-stop.ts'
import { Refusals } from '../refusals.ts'
import { tellWhenWaiting } from '../waiting.ts'

interface ReplayFlags {
  readonly map: string
  readonly speed: string
  readonly again?: boolean
  readonly strict?: boolean
  readonly timeout: string
}

const AFTER_HELP = `
A mapping says which column is what: see sim/replay/mappings for those that come
with Skein. Exit code 1 when every row was refused, or any with --strict.

Examples:
  skein replay 2015-03-08.csv --map capmetro-2015
  skein replay day.csv --map my-mapping.yaml --speed 10`

export function addReplay(program: Command): void {
  program
    .command('replay <file>')
    .description('publish a recorded CSV or JSON file, each row once however often it is replayed')
    .requiredOption(
      '--map <mapping>',
      'a mapping file, or the name of one that comes with skein (required)',
    )
    .addOption(new Option('--speed <n>', 'times real time: 1, 10 … or max').default('max', 'max'))
    .option('--again', 'store it once more, under new names')
    .option('--strict', 'stop at the first refused row, with exit code 1')
    .addOption(
      new Option('--timeout <seconds>', 'how long to wait for acknowledgements at the end').default(
        '60',
        '60',
      ),
    )
    .addHelpText('after', AFTER_HELP)
    .action(replay)
}

async function replay(file: string, flags: ReplayFlags, command: Command): Promise<void> {
  const speed = speedOf(flags.speed)
  const timeoutMs = wholeNumber('--timeout', flags.timeout, 0) * 1000
  const { config } = findMesh(command, contextOf(command))
  const json = wantsJson(command)
  const warn = warner(json)
  const mapping = await loadMapping(existsSync(flags.map) ? flags.map : mappingPath(flags.map))
  const codec = config.publisher.streams[mapping.stream]?.codec ?? config.publisher.codec
  const recording = await replayFile({
    file,
    mapping,
    codec,
    order: speed === Infinity ? 'file' : 'recorded',
    ...(flags.strict === true && { strict: true }),
    ...(flags.again === true && { salt: systemRandom.bytes(16) }),
  })
  const stopping = stopRequested()
  await using session = await openSession(config, { onWarning: warn })
  const publisher = await openPublisher(session, config, {
    outboxName: 'replay',
    replay: {
      epoch: recording.epoch,
      codec,
    },
    schemas: { [recording.stream]: recording.schema },
    onWarning: warn,
  })
  using _waiting = tellWhenWaiting(publisher, config, warn)
  await Promise.race([readersLinked(session), stopping])
  const startMs = systemClock.monotonicMs()
  const refusals = new Refusals(json)
  const complete = await send(recording, publisher, speed, refusals, stopping).catch((error) => {
    throw begun(error, publisher.counters.samplesPublished)
  })
  // Only a replay that reached its end may close its lanes: one that was cut short goes on next time.
  const undelivered = await drain(publisher, { timeoutMs, stopping, end: complete })
  const { rows, samples, refused, refusedBy, sources, firstUs, lastUs } = recording.counts
  const stored = publisher.counters.samplesStored
  const seconds = Math.round(systemClock.monotonicMs() - startMs) / 1000
  if (json) {
    printJson({
      file,
      stream: recording.stream,
      epoch: recording.epoch,
      complete,
      rows,
      samples,
      stored,
      refused,
      refusedBy,
      sources,
      firstUs,
      lastUs,
      seconds,
    })
  } else {
    note(
      `${counted(rows, 'row')}: ${counted(samples, 'sample')} of ${counted(sources, 'source')} ` +
        `as ${recording.stream}, ${stored} stored, ${refused} refused, in ${seconds.toFixed(1)} s${complete ? '' : ' (stopped before the end)'}`,
    )
    for (const [reason, count] of Object.entries(refusedBy)) note(`  refused ${count}: ${reason}`)
  }
  if (undelivered > 0) {
    tellUndelivered(undelivered, publisher, config, (message) =>
      warn(`${message}. Replay the file again to send them`),
    )
  } else if (publisher.counters.framesDamaged > 0) {
    warn('frames were lost with the damaged outbox: replay the file again to store them')
    process.exitCode = EXIT.failed
  } else if (refusals.areFailure(samples, flags.strict === true)) {
    process.exitCode = EXIT.failed
  }
}

/** A file that is broken further on: what came before it is published already. */
function begun(error: unknown, published: number): unknown {
  if (!(error instanceof SimError) || error.code !== 'SIM_FILE_FORMAT' || published === 0) {
    return error
  }
  const { code, message, details } = error
  return new SimError(code, `${message}; published before it: ${counted(published, 'sample')}`, {
    cause: error,
    details: { ...details, published },
  })
}

/** Publishes frame by frame at the speed asked for; false when it was stopped before the end. */
async function send(
  recording: Replay,
  publisher: Publisher,
  speed: number,
  refusals: Refusals,
  stopping: Promise<unknown>,
): Promise<boolean> {
  const stop = new AbortController()
  void stopping.then(() => stop.abort())
  const unlessStopped = orStop(stopping)
  const startMs = systemClock.monotonicMs()
  for await (const item of recording) {
    if (stop.signal.aborted) return false
    if (item.kind === 'refusal') {
      refusals.add(item.row, item.reason)
      continue
    }
    if (speed !== Infinity) {
      const dueMs = startMs + item.offsetUs / 1000 / speed
      await pause(dueMs - systemClock.monotonicMs(), stop.signal)
    }
    if (!(await publishFrame(publisher, recording.stream, item, unlessStopped))) return false
  }
  return !stop.signal.aborted
}

/** A recording may be silent for hours: a signal ends the pause. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await delay(ms, undefined, { signal }).catch(() => undefined)
}

/** False when it was stopped while the outbox was full. */
async function publishFrame(
  publisher: Publisher,
  stream: string,
  frame: ReplayFrame,
  unlessStopped: OrStop,
): Promise<boolean> {
  while (!publisher.publishFrame(stream, frame.source, frame.samples)) {
    if ((await unlessStopped(publisher.room())) === 'stop') return false
  }
  return true
}

function speedOf(text: string): number {
  if (text === 'max') return Infinity
  const speed = Number(text.replace(/^[x×]/, ''))
  if (!(speed > 0)) throw new UsageError(`--speed ${text} is neither a number above 0 nor max`)
  return speed
}
