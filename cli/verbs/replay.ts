// `skein replay <file> --map <mapping>`: a recording into the mesh, with its times and its disorder.
// Frames are named by what is in the file, so replaying it again stores nothing twice.
import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type { Command } from 'commander'
import { systemClock, systemRandom, type Publisher } from '../../mesh/index.ts'
import { openPublisher, openSession, stopRequested } from '../../nodes/index.ts'
import {
  loadMapping,
  mappingPath,
  replayFile,
  type Replay,
  type ReplayFrame,
} from '../../sim/index.ts'
import { contextOf, findMesh, wantsJson } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { note, printJson, UsageError, warn } from '../output.ts'

interface ReplayFlags {
  readonly map: string
  readonly speed: string
  readonly again?: boolean
  readonly strict?: boolean
  readonly timeout: string
}

/** Refused rows listed one by one; all of them with --json. */
const LISTED_MAX = 50

export function addReplay(program: Command): void {
  program
    .command('replay <file>')
    .description('publish a recorded CSV or JSON file')
    .requiredOption('--map <mapping>', 'a mapping file, or the name of one that comes with skein')
    .option('--speed <n>', 'times real time: 1, 10 … or max', 'max')
    .option('--again', 'store it once more, under new names')
    .option('--strict', 'stop at the first refused row')
    .option('--timeout <seconds>', 'how long to wait for acknowledgements at the end', '60')
    .action(replay)
}

async function replay(file: string, flags: ReplayFlags, command: Command): Promise<void> {
  const speed = speedOf(flags.speed)
  const { config } = findMesh(command, contextOf(command))
  const mapping = await loadMapping(existsSync(flags.map) ? flags.map : mappingPath(flags.map))
  const { codec } = config.publisher
  const recording = await replayFile({
    ...{ file, mapping, codec, order: speed === Infinity ? 'file' : 'recorded' },
    ...(flags.strict === true && { strict: true }),
    ...(flags.again === true && { salt: systemRandom.bytes(16) }),
  })
  await using session = await openSession(config, { onWarning: warn })
  const publisher = await openPublisher(session, config, {
    ...{ outboxName: 'replay', epoch: recording.epoch },
    schemas: { [recording.stream]: recording.schema },
  })
  const json = wantsJson(command)
  const startMs = systemClock.monotonicMs()
  const complete = await send(recording, publisher, speed, json)
  // Only a replay that reached its end may close its lanes: one that was cut short goes on next time.
  const undelivered = await publisher.close({
    drainMs: Number(flags.timeout) * 1000,
    end: complete,
  })
  const { rows, samples, refused, refusedBy, sources, firstUs, lastUs } = recording.counts
  const seconds = (systemClock.monotonicMs() - startMs) / 1000
  const result = {
    ...{ file, stream: recording.stream, epoch: recording.epoch, complete, rows, samples },
    ...{
      stored: publisher.counters.samplesStored,
      refused,
      refusedBy,
      sources,
      firstUs,
      lastUs,
      seconds,
    },
  }
  if (json) printJson(result)
  else {
    note(
      `${rows} rows: ${samples} samples of ${sources} sources, ${result.stored} stored, ` +
        `${refused} refused, in ${seconds.toFixed(1)} s`,
    )
    for (const [reason, count] of Object.entries(refusedBy)) note(`  refused ${count}: ${reason}`)
  }
  if (undelivered > 0) {
    warn(
      `${undelivered} samples were not acknowledged: ${publisher.trouble() ?? 'timeout'}. Replay the file again to send them`,
    )
    process.exitCode = EXIT.undelivered
  }
}

/** Publishes frame by frame at the speed asked for; false when it was stopped before the end. */
async function send(
  recording: Replay,
  publisher: Publisher,
  speed: number,
  json: boolean,
): Promise<boolean> {
  let stopped = false
  void stopRequested().then(() => (stopped = true))
  const startMs = systemClock.monotonicMs()
  let listed = 0
  for await (const item of recording) {
    if (stopped) return false
    if (item.kind === 'refusal') {
      listed += 1
      if (json) note(JSON.stringify({ refused: { row: item.row, reason: item.reason } }))
      else if (listed <= LISTED_MAX) warn(`row ${item.row} refused: ${item.reason}`)
      else if (listed === LISTED_MAX + 1) warn('more rows refused; see the counts, or use --json')
      continue
    }
    if (speed !== Infinity) {
      const dueMs = startMs + item.offsetUs / 1000 / speed
      await delay(Math.max(0, dueMs - systemClock.monotonicMs()))
    }
    await publishFrame(publisher, recording.stream, item)
  }
  return !stopped
}

async function publishFrame(
  publisher: Publisher,
  stream: string,
  frame: ReplayFrame,
): Promise<void> {
  while (!publisher.publishFrame(stream, frame.source, frame.samples)) await publisher.room()
}

function speedOf(text: string): number {
  if (text === 'max') return Infinity
  const speed = Number(text.replace(/^[x×]/, ''))
  if (!(speed > 0)) throw new UsageError(`--speed ${text} is neither a number above 0 nor max`)
  return speed
}
