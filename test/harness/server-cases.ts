// What every transport with a server is put through when that is away or refuses: what a user reads, and
// that nothing published meanwhile is lost.
import { expect } from 'vitest'
import {
  startSystem,
  type RunningSystem,
  type StartOptions,
  type SystemName,
} from '../../systems/index.ts'
import { jsonError, type Command } from './command.ts'
import { freeEndpoint } from './ports.ts'
import { numbers, SMALL_STREAM, type SmallMesh } from './small-mesh.ts'

export const HOST = '127.0.0.1'
const STACK = /\n\s+at .+:\d+/

const lastLine = (text: string): string => text.trimEnd().split('\n').at(-1)!

/** A text with regular expressions in it. */
export const line = (text: string): RegExp => new RegExp(text)

/** How often something was said. */
const times = ({ stderr }: Pick<Command, 'stderr'>, pattern: RegExp): number =>
  stderr.split('\n').filter((line) => pattern.test(line)).length

/** A server whose address is known before it runs. */
export class ServerLater {
  address = ''
  private port = 0
  private running: RunningSystem | undefined
  private readonly name: SystemName
  private readonly options: StartOptions

  constructor(name: SystemName, options: StartOptions = {}) {
    this.name = name
    this.options = options
  }

  async choosePort(): Promise<void> {
    this.port = Number(new URL(await freeEndpoint()).port)
    const scheme = { nats: 'nats://', kafka: '', zenoh: 'ws://' }[this.name]
    this.address = `${scheme}${HOST}:${this.port}`
  }

  async start(): Promise<void> {
    this.running ??= await startSystem(this.name, { ...this.options, port: this.port })
  }

  async stop(): Promise<void> {
    await this.running?.stop()
  }
}

export interface Away {
  readonly mesh: SmallMesh
  /** One line that says what is away, where, and that it is not given up. */
  readonly reason: RegExp
  readonly serve: () => Promise<unknown>
}

/** A store and two publishers that start before their server does. */
export async function startsWithoutServer({ mesh, reason, serve }: Away): Promise<void> {
  const storage = mesh.startStore()
  const early = mesh.startPublish(0, 20, 1)
  const asking = mesh.run(['query', 'latest', '-s', SMALL_STREAM])
  await Promise.all([storage.says(reason), early.says(reason)])
  const given = await early.ended
  expect(given.stderr).toMatch(/20 samples were not acknowledged .* the disk outbox keeps them/)
  expect(given.code).toBe(3)
  const asked = await asking
  expect(asked.stderr).toMatch(/QUERY_NO_PEER: no storage peer answered over .* within 5 s: /)
  expect(asked.code).toBe(1)

  const late = mesh.startPublish(20, 20, 60)
  await late.says(reason)
  await serve()
  await storage.says(/^s1 is ready: store [0-9a-f]{16}/m)
  const ended = await late.ended
  expect(ended.stderr).toMatch(/20 published, 40 stored, 0 refused/)
  expect(ended.code).toBe(0)
  expect(await mesh.stored()).toEqual(numbers(0, 40))
  for (const said of [given, ended, storage]) {
    expect(times(said, reason)).toBe(1)
    expect(said.stderr).not.toMatch(STACK)
  }
  expect((await storage.end('SIGTERM')).code).toBe(0)
}

export interface Refused {
  readonly mesh: SmallMesh
  readonly wrong: readonly string[]
  readonly reason: RegExp
}

export async function wrongCredentials({ mesh, wrong, reason }: Refused): Promise<void> {
  const storage = mesh.startStore(wrong)
  const publishing = mesh.startPublish(0, 20, 2, wrong)
  const asking = mesh.run(['query', 'latest', '-s', SMALL_STREAM, '--json'], wrong)
  await storage.says(reason)
  const [published, asked] = await Promise.all([publishing.ended, asking])
  expect(published.stderr).toMatch(reason)
  expect(published.stderr).toMatch(/20 samples were not acknowledged .* the disk outbox keeps them/)
  expect(published.code).toBe(3)
  const { code, message } = jsonError({ ...asked, stderr: lastLine(asked.stderr) })
  expect(code).toBe('QUERY_NO_PEER')
  expect(message).toMatch(reason)
  expect(asked.code).toBe(1)
  for (const { stderr } of [published, asked, storage]) {
    expect(stderr).not.toMatch(STACK)
    expect(stderr).not.toContain('wrong one')
  }
  expect((await storage.end('SIGTERM')).code).toBe(0)

  const again = mesh.startStore()
  const ended = await mesh.startPublish(20, 1, 30).ended
  expect(ended.stderr).toMatch(/1 published, 21 stored, 0 refused/)
  expect(await mesh.stored()).toEqual(numbers(0, 21))
  expect((await again.end('SIGTERM')).code).toBe(0)
}
