// Installing without the network: the tools are scripts of a few lines on a PATH of the test's own.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { install, isInstalled } from './install.ts'
import { nats } from './nats.ts'
import { installPathOf, systemsPath } from './paths.ts'
import { startSystem } from './start.ts'

let folder: string
let tools: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'skein-install-'))
  tools = join(folder, 'tools')
  mkdirSync(tools)
  vi.stubEnv('XDG_CACHE_HOME', join(folder, 'cache'))
  vi.stubEnv('PATH', tools)
})

afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true, force: true })
})

/** A program on the PATH. */
function tool(name: string, script: string): void {
  const path = join(tools, name)
  writeFileSync(path, `#!/bin/sh\n${script}\n`)
  chmodSync(path, 0o755)
}

/** Builds a server that says it is `version`, and its command line tool. */
function goThatBuilds(version: string): void {
  vi.stubEnv('PATH', [tools, '/usr/bin', '/bin'].join(delimiter))
  tool(
    'go',
    `case "$1" in
       version) echo go version go1.26.8 linux/amd64 ;;
       mod) echo '  "Dir": "${folder}"' ;;
       build) touch "$5"; echo built the tool ;;
       install)
         mkdir -p "$GOBIN"
         printf '#!/bin/sh\\necho nats-server: v%s\\n' ${version} > "$GOBIN/nats-server"
         chmod +x "$GOBIN/nats-server"
         echo built ;;
     esac`,
  )
}

const left = (): string[] => (existsSync(systemsPath()) ? readdirSync(systemsPath()) : [])

describe('install', () => {
  test.each([
    ['kafka', 'java', 'openjdk-17'],
    ['nats', 'go', 'golang-go'],
    ['zenoh', 'cargo', 'rustup'],
  ] as const)('%s without %s - says which tool, and how to get it', async (name, command, get) => {
    const failed = install(name)
    await expect(failed).rejects.toMatchObject({ code: 'SYSTEM_TOOL_MISSING' })
    await expect(failed).rejects.toThrow(
      new RegExp(`^${command} is not installed .*${name}.*${get}`),
    )
    expect(left()).toEqual([])
  })

  test('a Java of another age - is too old', async () => {
    tool('java', `echo 'openjdk version "11.0.2" 2019-01-15' >&2`)
    const failed = install('kafka')
    await expect(failed).rejects.toMatchObject({ code: 'SYSTEM_TOOL_TOO_OLD' })
    await expect(failed).rejects.toThrow(/java is version 11\.0, at least 17\.0 is needed/)
  })

  test('what the tool said last is in the error, and nothing is left behind', async () => {
    tool(
      'go',
      `[ "$1" = version ] && { echo go1.26.8; exit; }\necho no route to the proxy >&2; exit 1`,
    )
    const failed = install('nats')
    await expect(failed).rejects.toMatchObject({ code: 'SYSTEM_INSTALL_FAILED' })
    await expect(failed).rejects.toThrow(
      /nats .* could not be installed: .*\nno route to the proxy$/,
    )
    expect(left()).toEqual([])
  })

  test('a program of another version than was asked for - is not kept', async () => {
    goThatBuilds('2.1.0')
    await expect(install('nats')).rejects.toThrow(/2\.15\.2 was asked for, .* version 2\.1\.0/)
    expect(left()).toEqual([])
  })

  test('one that was broken off - is done again, and its parts are removed', async () => {
    goThatBuilds(nats.version)
    const path = installPathOf(nats)
    mkdirSync(join(path, 'bin'), { recursive: true })
    writeFileSync(join(path, 'bin', 'nats-server'), 'half of it')
    // No process has an id of eight digits.
    mkdirSync(`${path}.part-99999999-abc`)
    expect(isInstalled('nats')).toBe(false)
    const lines: string[] = []
    expect(await install('nats', { onLine: (line) => lines.push(line) })).toBe(path)
    expect(isInstalled('nats')).toBe(true)
    expect(lines).toEqual(['built', 'built the tool'])
    expect(left()).toEqual([`nats-${nats.version}`])
  })

  test('twice at a time - both end well, and one is kept', async () => {
    goThatBuilds(nats.version)
    const [one, other] = await Promise.all([install('nats'), install('nats')])
    expect(one).toBe(other)
    expect(left()).toEqual([`nats-${nats.version}`])
  })

  test('starting what is not installed - names the command that installs it', async () => {
    const failed = startSystem('zenoh')
    await expect(failed).rejects.toMatchObject({ code: 'SYSTEM_NOT_INSTALLED' })
    await expect(failed).rejects.toThrow(/: npm run systems -- install zenoh$/)
  })
})
