// The programs that installing and running the systems takes: found on the PATH, new enough, and run with
// their lines handed on.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { SystemError } from './errors.ts'

export interface Tool {
  readonly command: string
  readonly versionArguments: readonly string[]
  /** Major and minor version, in what it prints of itself. */
  readonly versionPattern: RegExp
  readonly least: readonly [major: number, minor: number]
  /** What it is and how to get it. */
  readonly get: string
}

export const JAVA: Tool = {
  command: 'java',
  versionArguments: ['-version'],
  versionPattern: /version "(\d+)(?:\.(\d+))?/,
  least: [17, 0],
  get: 'Java 17 or newer: apt-get install openjdk-17-jre-headless, or any other JDK or JRE of that age',
}

export const MAVEN: Tool = {
  command: 'mvn',
  versionArguments: ['--version'],
  versionPattern: /Maven (\d+)\.(\d+)/,
  least: [3, 6],
  get: 'Apache Maven 3.6 or newer: apt-get install maven, or the archive from the Maven project',
}

/** 1.21 is the first that fetches by itself the newer one that a module asks for. */
export const GO: Tool = {
  command: 'go',
  versionArguments: ['version'],
  versionPattern: /go(\d+)\.(\d+)/,
  least: [1, 21],
  get: 'Go 1.26 or newer (1.21 to 1.25 fetch it by themselves): apt-get install golang-go where that is new enough, or the archive from the Go project',
}

export const CARGO: Tool = {
  command: 'cargo',
  versionArguments: ['--version'],
  versionPattern: /cargo (\d+)\.(\d+)/,
  least: [1, 89],
  get: 'Rust 1.89 or newer: rustup (apt-get install rustup && rustup default stable, where there is one), or apt-get install cargo where that is new enough',
}

export const LINKER: Tool = {
  command: 'cc',
  versionArguments: ['--version'],
  versionPattern: /(\d+)\.(\d+)/,
  least: [0, 0],
  get: 'a C compiler, which Rust links with: apt-get install gcc libc6-dev',
}

/** @throws SystemError SYSTEM_TOOL_MISSING or SYSTEM_TOOL_TOO_OLD, with what needs it and how to get it. */
export async function checkTool(tool: Tool, why: string): Promise<void> {
  const { command, versionArguments, versionPattern, least, get } = tool
  const lines: string[] = []
  const collect = { onLine: (line: string) => lines.push(line) }
  try {
    await runTool(command, versionArguments, collect)
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    const what = isMissing ? 'is not installed (not on the PATH)' : 'does not run'
    throw new SystemError('SYSTEM_TOOL_MISSING', `${command} ${what}; ${why}. Get ${get}`, {
      cause,
    })
  }
  const [, major, minor = '0'] = versionPattern.exec(lines.join('\n')) ?? []
  const isNewEnough =
    major === undefined ||
    Number(major) > least[0] ||
    (Number(major) === least[0] && Number(minor) >= least[1])
  if (isNewEnough) return
  throw new SystemError(
    'SYSTEM_TOOL_TOO_OLD',
    `${command} is version ${major}.${minor}, at least ${least.join('.')} is needed; ${why}. Get ${get}`,
  )
}

export interface RunOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  readonly onLine?: (line: string) => void
}

const LAST_LINES = 20

/** Runs a program to its end. Rejects with its last lines when that is not exit code 0. */
export async function runTool(
  command: string,
  words: readonly string[],
  { cwd, env, onLine }: RunOptions = {},
): Promise<void> {
  const last: string[] = []
  const child = spawn(command, words, {
    ...(cwd !== undefined && { cwd }),
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = [child.stdout, child.stderr].map(async (stream) => {
    for await (const line of createInterface({ input: stream })) {
      last.push(line)
      if (last.length > LAST_LINES) last.shift()
      onLine?.(line)
    }
  })
  const code = await new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (exitCode, signal) => resolve(exitCode ?? signal))
  })
  await Promise.all(said)
  if (code === 0) return
  throw new Error(`${command} ${words.join(' ')} ended with ${code}:\n${last.join('\n')}`)
}
