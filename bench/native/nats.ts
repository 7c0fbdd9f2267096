// What the NATS project's own tool makes of the same payload: `nats bench js pub`, on a server that runs.
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { natsTool } from '../../systems/index.ts'

/** All of a window is answered before the next one is sent; each message may take an fsync. */
const ANSWER_LIMIT = '60s'

/** sync: one at a time. async: `window` at a time. batch: an atomic batch of `window` at a time. */
export type NativeNatsMode = 'sync' | 'async' | 'batch'

export interface NativeNatsOptions {
  readonly address: string
  /** It exists, with the settings that it is to have. */
  readonly stream: string
  /** Of that stream. */
  readonly subject: string
  /** The same for every message. */
  readonly payload: Buffer
  readonly messages: number
  readonly mode: NativeNatsMode
  /** Messages without their answer, 4,000 at most; in a batch 1,000. Of no use to sync. */
  readonly window: number
}

export interface NativeNatsResult {
  readonly messagesPerSecond: number
  /** Payloads only, 10^6 bytes. */
  readonly megabytesPerSecond: number
}

export async function nativeNats(options: NativeNatsOptions): Promise<NativeNatsResult> {
  const { address, stream, subject, payload, messages, mode, window } = options
  const folder = await mkdtemp(join(tmpdir(), 'skein-nats-native-'))
  try {
    const file = join(folder, 'payload')
    await writeFile(file, payload)
    const flags = {
      server: address,
      timeout: ANSWER_LIMIT,
      stream,
      payload: file,
      msgs: messages,
      ...(mode !== 'sync' && { batch: window }),
    }
    const { command, words } = natsTool([
      'bench',
      'js',
      'pub',
      mode,
      subject,
      '--no-context',
      '--no-progress',
      ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`),
    ])
    const { stdout, stderr } = await promisify(execFile)(command, [...words])
    const messagesPerSecond = rateOf(`${stdout}${stderr}`)
    return {
      messagesPerSecond,
      megabytesPerSecond: (messagesPerSecond * payload.length) / 1e6,
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Exported for its test. @throws Error with what the tool said when it did not finish. */
export function rateOf(said: string): number {
  const [, rate] = /stats: ([\d,]+) msgs\/sec/.exec(said) ?? []
  if (rate === undefined) throw new Error(`nats bench did not finish: ${said.trim()}`)
  return Number(rate.replaceAll(',', ''))
}
