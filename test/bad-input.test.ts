// What a user may get wrong before any mesh is asked: a clear message with a stable code, and an exit
// code that says whose fault it is. Nothing here leaves a stack behind.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { jsonError, Shell, type Ended } from './harness/command.ts'
import { freeEndpoint } from './harness/ports.ts'

const shell = new Shell()
afterAll(() => shell[Symbol.asyncDispose]())

const STACK = /\n\s+at .+:\d+/

/** Runs a line that has to fail, as a person and as a program would see it. */
async function failing(words: readonly string[], cwd = shell.directory()): Promise<Ended> {
  const ended = await shell.run(words, { cwd })
  expect(ended.stderr).not.toMatch(STACK)
  expect(ended.stdout).toBe('')
  return ended
}

describe.concurrent('the command line', () => {
  test.each([
    [['qury'], "CLI_USAGE: unknown command 'qury' (Did you mean query?): see skein --help"],
    [['query', 'range'], /^CLI_USAGE: required option .*--stream.*: see skein query range --help$/],
    [['query', 'range', '-s', 'a b'], /^CLI_USAGE: stream name "a b" may hold only letters/],
    [['query', 'range', '-s', 's', '--limit', 'x'], /^CLI_USAGE: --limit x is not a whole number/],
    [
      ['query', 'latest', '-s', 's', '--where', 'speed ~ 4'],
      'CLI_USAGE: --where "speed ~ 4" is no condition; expected field, one of = != < <= > >=, value, as in "speed > 80"',
    ],
    [
      ['query', 'latest', '-s', 's', '--where', 'speed == 4'],
      /^CLI_USAGE: --where "speed == 4" is/,
    ],
    [['subscribe', 'a b'], /^CLI_USAGE: stream name "a b" may hold only letters/],
    [['subscribe', 's', '--count', '0'], 'CLI_USAGE: --count 0 is not a whole number from 1 on'],
    [['publish', 's', '/nowhere.csv'], 'CLI_USAGE: /nowhere.csv does not exist'],
    [['publish', 's', '-', '--timeout', '1h'], /^CLI_USAGE: --timeout 1h is not a whole number/],
    [['up', '--duration', 'soon'], /^CLI_USAGE: --duration soon is no duration; expected/],
    [['up', '--storage', '1'], /^CLI_USAGE: --storage 1 cannot keep 2 replicas: raise it, or/],
    [['--set', 'up.rate', 'status'], /^CLI_USAGE: --set up.rate: expected key=value/],
    [['--seed', 'nonsense', 'status'], /seeds\[0\] is "nonsense"; it is not an endpoint/],
    [['replay', 'x.csv', '--map', 'm', '--speed', '-1'], /^CLI_USAGE: --speed -1 is neither/],
    [
      ['peers', 'rmove', 'a05fa807'],
      "CLI_USAGE: unknown command 'rmove' (Did you mean remove?): see skein peers --help",
    ],
    [['peers', 'remove', ''], /^CLI_USAGE: the store to remove has no name: give its id/],
    [
      ['status', '--data', '/dev/null'],
      /^CLI_USAGE: \/dev\/null is a file: --data .* a directory$/,
    ],
    [['node', 'storage', '--name', '../x'], /^CLI_USAGE: --name "\.\.\/x": a name holds letters,/],
    [['node', 'aggregator', '--name=..'], /^CLI_USAGE: --name "\.\.": .*, and is not \. or \.\.$/],
    [
      ['node', 'fleet', '--name', ''],
      /^CLI_USAGE: --name "": a name holds letters, digits, \. _ -/,
    ],
  ])('%j', async (words, message) => {
    const { code, stderr } = await failing(words)
    if (typeof message === 'string') expect(stderr.trim()).toBe(message)
    else expect(stderr.trim()).toMatch(message)
    expect(code).toBe(2)
  })

  test('with --json - one line of JSON on stderr, for every kind of error', async () => {
    const lines = [
      ['qury', '--json'],
      ['config', 'show', '--json', '--config', 'none.yaml'],
      ['query', 'range', '-s', 's', '--from', 'now', '--to', '-5m', '--json'],
    ]
    const errors = await Promise.all(lines.map(async (words) => jsonError(await failing(words))))
    expect(errors.map(({ code }) => code)).toEqual([
      'CLI_USAGE',
      'CONFIG_NOT_FOUND',
      'QUERY_INVALID',
    ])
  })

  test('help - is asked for and printed, or stands in for a verb that is missing', async () => {
    const [asked, missing, version] = await Promise.all([
      shell.run(['help', 'query']),
      shell.run([]),
      shell.run(['--version']),
    ])
    expect([asked.code, missing.code, version.code]).toEqual([0, 2, 0])
    expect(asked.stdout).toMatch(/^Usage: skein query/)
    expect(missing.stderr).toMatch(/^Usage: skein /)
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})

/** Every word of a verb's help that names a verb below it. */
const verbsBelow = (help: string): string[] =>
  [...(/\nCommands:\n(.*?)(\n\n|$)/s.exec(help)?.[1] ?? '').matchAll(/^ {2}(\w+)/gm)].map(
    ([, verb]) => verb!,
  )

test('help - of every verb fits 80 columns, with defaults as they are typed', async () => {
  const helps: string[] = []
  const visit = async (words: readonly string[]): Promise<void> => {
    const { stdout } = await shell.run([...words, '--help'])
    helps.push(stdout)
    const below = verbsBelow(stdout).filter((verb) => verb !== 'help')
    await Promise.all(below.map((verb) => visit([...words, verb])))
  }
  await visit([])
  expect(helps.length).toBeGreaterThan(15)
  const lines = helps.flatMap((help) => help.split('\n'))
  expect(lines.filter((line) => line.length > 80)).toEqual([])
  const text = helps.join('\n').replaceAll(/\s+/g, ' ')
  expect(text).not.toMatch(/default: "/)
  expect(text).toMatch(/--stream <stream> the stream to read \(required\)/)
  expect(text).toMatch(/--order <order> by time \(choices: "asc", "desc", default: asc\)/)
  expect(text).toMatch(/a table shows 1000/)
  expect(text).toMatch(/3 ended with samples that W stores have not acknowledged/)
})

describe.concurrent('configuration', () => {
  test('unknown key, wrong type, bad unit - all at once, each with its place and what was meant', async () => {
    const cwd = shell.directory()
    writeFileSync(
      join(cwd, 'skein.yaml'),
      'mesh:\n  nam: x\npublisher:\n  linger: 5\nup:\n  vehicles: many\nstorage: { budget: 3 MX }\n',
    )
    const { code, stderr } = await failing(['up'], cwd)
    expect(stderr.trim().split('\n')).toEqual([
      'CONFIG_INVALID: configuration has 4 problems',
      '  skein.yaml:2:3: mesh.nam is not known; did you mean mesh.name?',
      '  skein.yaml:4:3: publisher.linger is 5 without a unit; expected a duration such as 5ms, 10s or 1h',
      '  skein.yaml:6:3: up.vehicles is "many"; expected a number',
      '  skein.yaml:7:12: storage.budget is "3 MX"; its unit must be one of B, KiB, MiB, GiB, TiB, kB, MB, GB, TB',
    ])
    expect(code).toBe(2)
  })

  test('variable - an unknown one is an error, too', async () => {
    const ended = await shell.run(['up'], { env: { SKEIN_UP_VEHICLE: '3' } })
    expect(ended.stderr).toMatch(/variable is not known; did you mean SKEIN_UP_VEHICLES\?/)
    expect(ended.code).toBe(2)
  })
})

describe.concurrent('queries', () => {
  test.each([
    [['range', '--from', 'now', '--to', '-5m'], /from now is not before to \(-5m\)/],
    [['range', '--from', 'yesterday'], /from "yesterday" is not an ISO time with its zone/],
    [['downsample', '--every', '1ms', '--from', '0'], /makes \d+ buckets of this range, at most/],
    [['downsample', '--every', '5'], /query: from is missing/],
    [
      ['downsample', '--every', '5s', '--from', '-1m', '--agg', 'mean'],
      /"mean" is not one of count/,
    ],
  ])('%j', async (words, message) => {
    const { code, stderr } = await failing(['query', ...words, '-s', 'vehicle.motion'])
    expect(stderr).toMatch(/^QUERY_INVALID: query: /)
    expect(stderr).toMatch(message)
    expect(code).toBe(2)
  })

  test('mesh not running - says so within 6 s and names the seeds', async () => {
    const seed = await freeEndpoint()
    const startMs = performance.now()
    const verbs = [['query', 'latest', '-s', 's'], ['status'], ['peers']]
    const all = await Promise.all(
      verbs.map((words) => failing([...words, '--seed', seed, '--json'])),
    )
    for (const ended of all) {
      expect(jsonError(ended)).toMatchObject({
        code: 'QUERY_NO_PEER',
        message: expect.stringContaining(`no storage peer answered at ${seed} within 5 s`),
      })
      expect(ended.code).toBe(1)
    }
    // The processes' own start on two busy cores comes on top.
    expect(performance.now() - startMs).toBeLessThan(9_000)
  })
})

describe.concurrent('recordings', () => {
  const header = 'id,time,speed\n'

  test('missing file, missing mapping, wrong mapping, wrong columns', async () => {
    const cwd = shell.directory()
    writeFileSync(join(cwd, 'day.csv'), 'a,b\n1,2\n')
    writeFileSync(join(cwd, 'wrong.yaml'), 'stream: s\nsauce: { column: id }\n')
    writeFileSync(join(cwd, 'empty.csv'), header)
    const lines: [words: string[], code: string, message: RegExp, exit: number][] = [
      [['none.csv', '--map', 'capmetro-2015'], 'SIM_FILE_NOT_FOUND', /none\.csv cannot be read/, 2],
      [['day.csv', '--map', 'capmetro-2051'], 'SIM_FILE_NOT_FOUND', /did you mean|there are/i, 2],
      [['day.csv', '--map', 'wrong.yaml'], 'SIM_MAPPING_INVALID', /sauce.*source/s, 2],
      [['day.csv', '--map', 'capmetro-2015'], 'SIM_FILE_FORMAT', /the header has no column/, 2],
    ]
    const ends = await Promise.all(
      lines.map(([words]) => failing(['replay', ...words, '--json'], cwd)),
    )
    for (const [index, [, code, message, exit]] of lines.entries()) {
      expect(jsonError(ends[index]!)).toMatchObject({
        code,
        message: expect.stringMatching(message),
      })
      expect(ends[index]!.code).toBe(exit)
    }
  })
})
