// The command line of the bench: `npm run bench -- <scenario> [options]`.
import { Command, InvalidArgumentError, Option } from 'commander'
import { ACK_LEVELS, nearestName } from '../mesh/index.ts'
import {
  BENCH_SYSTEM_NAMES,
  TUNINGS,
  type BenchSystemName,
  type Tier,
  type Tuning,
} from './systems/system.ts'

export interface Options {
  /** Beside Skein, which always runs. */
  readonly against: readonly BenchSystemName[]
  /** Undefined: what the scenario compares by default. */
  readonly tiers: readonly Tier[] | undefined
  readonly tunings: readonly Tuning[] | undefined
  readonly samplesPerFrame: readonly number[] | undefined
  /** Samples/s. */
  readonly rates: readonly number[] | undefined
  readonly blocks: number | undefined
  /** Of each measured window. */
  readonly seconds: number | undefined
  readonly compress: boolean
  /** Of `store`: what is in the store that is restarted. */
  readonly gigabytes: number | undefined
  /** Of `store`: only these. */
  readonly parts: readonly StorePartName[] | undefined
  readonly payloads: readonly PayloadName[] | undefined
  /** Minutes instead of an hour: shorter windows, fewer blocks and steps. */
  readonly quick: boolean
  readonly seed: number
  /** Readings of a recorded file instead of simulated ones. */
  readonly recording: { readonly file: string; readonly mapping: string } | undefined
  /** Where results go. */
  readonly out: string
  /** Also the result as JSON on standard output. */
  readonly json: boolean
}

export const STORE_PART_NAMES = ['ingest', 'latest', 'repair', 'trucks', 'restart'] as const
export type StorePartName = (typeof STORE_PART_NAMES)[number]
/** Frames of 5 KB; of 100 samples; of one sample. */
export const PAYLOAD_NAMES = ['blocks', 'frames', 'samples'] as const
export type PayloadName = (typeof PAYLOAD_NAMES)[number]

interface Flags {
  against: BenchSystemName[]
  tier?: Tier[]
  tuning?: Tuning[]
  samplesPerFrame?: number[]
  rate?: number[]
  blocks?: number
  seconds?: number
  compress?: boolean
  gigabytes?: number
  parts?: StorePartName[]
  payloads?: PayloadName[]
  quick?: boolean
  seed: number
  recording?: string
  map?: string
  out: string
  json?: boolean
}

/** A command with the options that scenarios share; `action` gets them read. */
export function scenarioCommand(
  name: string,
  description: string,
  action: (options: Options) => Promise<void>,
): Command {
  return new Command(name)
    .description(description)
    .addOption(
      new Option('--against <systems>', `compare with: ${others().join(', ')}, or none`)
        .argParser((text) => (text === 'none' ? [] : list(others())(text)))
        .default(['kafka', 'nats'], 'kafka,nats'),
    )
    .option(
      '--tier <tiers>',
      `what a receipt vouches for: ${ACK_LEVELS.join(', ')}`,
      list(ACK_LEVELS),
    )
    .option('--tuning <tunings>', `of every system: ${TUNINGS.join(', ')}`, list(TUNINGS))
    .option('--samples-per-frame <numbers>', 'samples in a frame or message', numbers(1))
    .option('--rate <numbers>', 'offered samples/s', numbers(1))
    .option('--blocks <number>', 'repetitions of everything, interleaved', number(1))
    .option('--seconds <number>', 'length of each measured window', number(0.1))
    .option('--compress', 'compression on, in every system')
    .option('--gigabytes <number>', 'of store: data in the store that is restarted', number(0.01))
    .option(
      '--parts <names>',
      `of store: only these, of ${STORE_PART_NAMES.join(', ')}`,
      list(STORE_PART_NAMES),
    )
    .option(
      '--payloads <names>',
      `of store: what is ingested, of ${PAYLOAD_NAMES.join(', ')}`,
      list(PAYLOAD_NAMES),
    )
    .option('--quick', 'minutes instead of an hour')
    .option('--seed <number>', 'of payloads, schedules and orders', number(0), 1)
    .option('--recording <file>', 'readings of a recorded file instead of simulated ones')
    .option('--map <mapping>', 'of the recording: a name or a file, as for skein replay')
    .addOption(new Option('--out <directory>', 'where results go').default('results'))
    .option('--json', 'the result on standard output too')
    .action(async (flags: Flags, command: Command) => {
      const { tier, tuning, rate, samplesPerFrame, blocks, seconds, ...others } = flags
      const { gigabytes, parts, payloads, ...rest } = others
      const { recording, map } = flags
      if ((recording === undefined) !== (map === undefined)) {
        command.error('error: --recording and --map come together: a file, and how it is read')
      }
      const { compress = false, quick = false, json = false } = flags
      await action({
        ...rest,
        compress,
        quick,
        json,
        tiers: tier,
        tunings: tuning,
        rates: rate?.toSorted((a, b) => a - b),
        samplesPerFrame,
        blocks,
        seconds,
        gigabytes,
        parts,
        payloads,
        recording: recording === undefined ? undefined : { file: recording, mapping: map! },
      })
    })
}

function others(): BenchSystemName[] {
  return BENCH_SYSTEM_NAMES.filter((name) => name !== 'skein')
}

function list<Name extends string>(names: readonly Name[]): (text: string) => Name[] {
  return (text) =>
    [...new Set(text.split(',').map((part) => part.trim()))].map((part) => {
      if ((names as readonly string[]).includes(part)) return part as Name
      const near = nearestName(part, names)
      const hint = near === undefined ? `one of ${names.join(', ')}` : `did you mean ${near}?`
      throw new InvalidArgumentError(`${part} is unknown: ${hint}`)
    })
}

function numbers(least: number): (text: string) => number[] {
  const one = number(least)
  return (text) => text.split(',').map((part) => one(part.trim()))
}

function number(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text.replaceAll('_', ''))
    if (text !== '' && Number.isFinite(value) && value >= least) return value
    throw new InvalidArgumentError(`${text} is not a number of at least ${least}`)
  }
}
