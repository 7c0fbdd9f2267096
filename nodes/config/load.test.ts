import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { NodeError } from '../errors.ts'
import { defaultConfig } from './config.ts'
import { explainConfig } from './explain.ts'
import { KNOWN_KEYS, type KnownKey } from './known-keys.ts'
import { loadConfig, type ConfigSources } from './load.ts'
import { parseOverride } from './overrides.ts'

let cwd: string

beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'skein-config-'))
})
afterEach(() => rmSync(cwd, { recursive: true, force: true }))

const load = (yaml: string | undefined, sources: Partial<ConfigSources> = {}) => {
  if (yaml !== undefined) writeFileSync(join(cwd, 'skein.yaml'), yaml)
  return loadConfig({ cwd, env: {}, ...sources })
}

function failure(yaml: string | undefined, sources: Partial<ConfigSources> = {}): NodeError {
  try {
    load(yaml, sources)
  } catch (error) {
    if (error instanceof NodeError) return error
    throw error
  }
  throw new Error('expected a NodeError')
}

/** The problems as lines `place: message`. */
const problems = (yaml: string | undefined, sources: Partial<ConfigSources> = {}): string[] =>
  failure(yaml, sources)
    .message.split('\n')
    .slice(1)
    .map((line) => line.trim())

describe('loadConfig', () => {
  test('no file, an empty one and one of comments - all give the defaults', () => {
    const expected = { ...defaultConfig, dataPath: join(cwd, '.skein') }
    for (const yaml of [undefined, '', '# nothing\n', 'storage:\n  # budget: 1MiB\nmesh: {}\n']) {
      expect(load(yaml).config).toEqual(expected)
    }
  })

  test('defaults - those of the design, as plain data', () => {
    expect(JSON.parse(JSON.stringify(defaultConfig))).toEqual({
      mesh: { name: 'skein', founder: 'storage-1', replicas: 2, writeQuorum: 2, shards: 64 },
      transport: { name: 'zeromq', bind: 'tcp://127.0.0.1:0', advertise: 'auto' },
      seeds: ['tcp://127.0.0.1:7701'],
      dataPath: './.skein',
      storage: {
        bucketUs: 3_600_000_000,
        retention: [{ name: 'default', streams: ['*'] }],
        compact: true,
        scrub: { everyUs: 604_800_000_000, bytesPerSecond: 8_388_608 },
        budgetBytes: 67_108_864,
        http: { host: '127.0.0.1', port: 0, advertise: 'auto' },
      },
      publisher: {
        lingerMs: 5,
        frameBytes: 16_384,
        codec: 'columnar',
        compress: false,
        level: 'synced',
        outbox: { memoryBytes: 67_108_864, syncMs: 100, whenFull: 'refuse' },
        streams: {},
      },
      up: { storage: 3, aggregators: 1, vehicles: 4, samplesPerSecond: 1, seed: 1 },
      aggregator: {
        windows: [
          {
            name: 'speed_10s',
            stream: 'vehicle.motion',
            output: 'vehicle.motion.speed_10s',
            everyUs: 10_000_000,
            latenessUs: 2_000_000,
            idleUs: 12_000_000,
            fields: ['speed'],
            aggregates: ['count', 'avg', 'max'],
          },
        ],
        thresholds: [
          {
            name: 'speeding',
            stream: 'vehicle.motion',
            output: 'vehicle.motion.speeding',
            field: 'speed',
            above: 50,
            hysteresis: 2,
          },
        ],
      },
    })
  })

  test('sample file - as shipped it changes nothing, with every key uncommented neither', () => {
    const sample = readFileSync(new URL('../../skein.yaml', import.meta.url), 'utf8')
    const config = load(sample).config
    expect(config).toEqual({ ...defaultConfig, dataPath: join(cwd, '.skein') })
    const uncommented = sample.replaceAll(/^# ( *(?:- )?[A-Za-z]+:)/gm, '$1')
    expect(load(uncommented).config).toEqual(config)
    const given = explainConfig(load(uncommented)).filter(({ from }) => from !== 'default')
    // The default list of windows is written out; its entries are aggregator.windows[0] and so on.
    const keys = new Set(given.map(({ key }) => key.replace(/\[.*$/, '')))
    // Keys without a default, such as passwords, stand there as `#   # password: …`.
    const isOptional = ({ path }: KnownKey): boolean =>
      new RegExp(`^# +# ${path.at(-1)}:`, 'm').test(sample) && !keys.has(path.join('.'))
    const expected = KNOWN_KEYS.filter((known) => !isOptional(known))
    expect([...keys]).toEqual(expected.map(({ key }) => key))
  })

  test('sample file - its commented examples are valid too', () => {
    const sample = readFileSync(new URL('../../skein.yaml', import.meta.url), 'utf8')
    const examples = sample
      .replaceAll(/^# ( *(?:- )?[A-Za-z]+:)/gm, '$1')
      .replaceAll(/^# {3}#( {2}.*)$/gm, '  $1')
      .replaceAll(/: (\{\}|\[\]) {2,}#.*$/gm, ':')
    mkdirSync(join(cwd, 'schemas'))
    const schema = { type: 'object', properties: { speed: { type: 'number' } } }
    writeFileSync(join(cwd, 'schemas/vehicle.motion.json'), JSON.stringify(schema))
    const { publisher, aggregator } = load(examples).config
    expect(publisher.streams).toEqual({
      'vehicle.motion': { whenFull: 'drop-oldest', codec: 'columnar', schema },
    })
    expect(aggregator).toEqual(defaultConfig.aggregator)
  })

  test('aggregator - what is written takes the place of the default as a whole', () => {
    expect(load('aggregator: {}\n').config.aggregator).toEqual({ windows: [], thresholds: [] })
    const yaml = 'aggregator:\n  thresholds: [{ name: hot, stream: s, field: x, above: 1 }]\n'
    const { aggregator } = load(yaml).config
    expect(aggregator.windows).toEqual([])
    expect(aggregator.thresholds).toHaveLength(1)
    const shown = (text: string): unknown =>
      explainConfig(load(text)).find(({ key }) => key === 'aggregator.windows')?.value
    expect(shown('')).toMatchObject([{ name: 'speed_10s' }])
    expect(shown(yaml)).toEqual([])
  })

  test('precedence - flag over environment over file over default', () => {
    const env = { SKEIN_UP_VEHICLES: '20', SKEIN_STORAGE_BUDGET: '1GiB', SKEIN_UP_SEED: '' }
    const overrides = [{ key: 'up.vehicles', value: 30, flag: '--vehicles' }]
    const loaded = load('up: { vehicles: 10, storage: 5 }\n', { env, overrides })
    expect(loaded.config.up).toMatchObject({ vehicles: 30, storage: 5, aggregators: 1, seed: 1 })
    expect(loaded.config.storage.budgetBytes).toBe(2 ** 30)
    const from = new Map(
      explainConfig(loaded).map((row) => [row.key, `${String(row.value)} ${row.from}`]),
    )
    expect(from.get('up.vehicles')).toBe('30 flag --vehicles')
    expect(from.get('storage.budget')).toBe('1GiB env SKEIN_STORAGE_BUDGET')
    expect(from.get('up.storage')).toBe('5 skein.yaml:1')
    expect(from.get('up.aggregators')).toBe('1 default')
  })

  test('file - the given path counts, then SKEIN_CONFIG, and each must exist', () => {
    writeFileSync(join(cwd, 'other.yaml'), 'mesh: { name: other }')
    expect(load('mesh: { name: here }').config.mesh.name).toBe('here')
    expect(load(undefined, { path: 'other.yaml' }).config.mesh.name).toBe('other')
    expect(load(undefined, { env: { SKEIN_CONFIG: 'other.yaml' } }).config.mesh.name).toBe('other')
    expect(failure(undefined, { path: 'absent.yaml' }).code).toBe('CONFIG_NOT_FOUND')
  })

  test('paths - relative to the file that says them, else to where the command runs', () => {
    mkdirSync(join(cwd, 'etc'))
    writeFileSync(join(cwd, 'etc/skein.yaml'), 'data: ./store')
    expect(load(undefined, { path: 'etc/skein.yaml' }).config.dataPath).toBe(join(cwd, 'etc/store'))
    const env = { SKEIN_DATA: './store' }
    expect(load(undefined, { path: 'etc/skein.yaml', env }).config.dataPath).toBe(
      join(cwd, 'store'),
    )
  })

  test('transport - a word, or a section with its options, and switching keeps them', () => {
    const long = 'transport: { name: zeromq, bind: "tcp://0.0.0.0:7701" }'
    const bound = { name: 'zeromq', bind: 'tcp://0.0.0.0:7701', advertise: 'auto' }
    expect(load(long).config.transport).toEqual(bound)
    expect(load('zeromq: { bind: "tcp://0.0.0.0:7701" }').config.transport).toEqual(bound)
    expect(load('transport: memory').config.transport).toEqual({ name: 'memory' })
    const env = { SKEIN_TRANSPORT: 'nats' }
    expect(load(long, { env }).config.transport).toEqual({
      name: 'nats',
      servers: ['nats://127.0.0.1:4222'],
      replicas: 1,
      maxAge: 3_600_000_000,
      maxBytes: 2 ** 30,
    })
  })

  test('flags - --set reads text as the key wants it', () => {
    const overrides = [
      'storage.budget=1GiB',
      'publisher.compress=true',
      'publisher.level=written',
      'mesh.name=007',
      'up.rate=2.5',
    ]
    const { config } = load(undefined, { overrides: overrides.map((text) => parseOverride(text)) })
    expect(config).toMatchObject({
      mesh: { name: '007' },
      storage: { budgetBytes: 2 ** 30 },
      publisher: { compress: true, level: 'written' },
      up: { samplesPerSecond: 2.5 },
    })
    expect(() => parseOverride('storage.budget')).toThrow(RangeError)
  })

  test('environment - lists by commas, lists of sections as JSON', () => {
    const env = {
      SKEIN_SEEDS: 'tcp://10.0.0.1:7701, tcp://10.0.0.2:7701',
      SKEIN_PUBLISHER_OUTBOX_DISK: '1GiB',
      SKEIN_PUBLISHER_OUTBOX_SYNC_MS: '50',
      SKEIN_PUBLISHER_STREAMS: '{ "city.air": { "codec": "json" } }',
      SKEIN_AGGREGATOR_THRESHOLDS: '[{ name: hot, stream: s, field: t, above: 30 }]',
      HOME: '/root',
    }
    const { config } = load(undefined, { env })
    expect(config.seeds).toEqual(['tcp://10.0.0.1:7701', 'tcp://10.0.0.2:7701'])
    expect(config.publisher.outbox).toMatchObject({ diskBytes: 2 ** 30, syncMs: 50 })
    expect(config.publisher.streams['city.air']).toEqual({ codec: 'json', whenFull: 'refuse' })
    expect(config.aggregator.thresholds[0]?.output).toBe('s.hot')
  })

  test('environment - every key has a name of its own', () => {
    const names = KNOWN_KEYS.map(({ env }) => env)
    expect(new Set(names).size).toBe(names.length)
    expect(names).toContain('SKEIN_STORAGE_HTTP_PORT')
  })
})

describe('problems of a configuration', () => {
  test('unknown key - with file, line, column and what was meant', () => {
    expect(problems('mesh:\n  name: a\nstorage:\n  buget: 1MiB\n')).toEqual([
      'skein.yaml:4:3: storage.buget is not known; did you mean storage.budget?',
    ])
  })

  test('unknown key - in the wrong section, the right one is named', () => {
    expect(problems('vehicles: 3')).toEqual([
      'skein.yaml:1:1: vehicles is not known; did you mean up.vehicles?',
    ])
    expect(problems('zzz: 3')).toEqual(['skein.yaml:1:1: zzz is not known'])
    expect(problems('__proto__: 3')).toEqual(['skein.yaml:1:1: __proto__ is not known'])
  })

  test('all at once - in the order of the file, then environment and flags', () => {
    const yaml = [
      'mesh: { replicas: two, shards: 32, writeQuorum: 0 }',
      'transport: zermq',
      'seeds: 127.0.0.1:7701',
      'storage:',
      '  bucket: 1 parsec',
      '  http: { port: 70000 }',
      'publisher: { linger: 5, compress: yes, outbox: { disk: true, whenFull: drop } }',
      'up: 4',
    ].join('\n')
    const env = { SKEIN_STORAGE_BUGET: '1MiB', SKEIN_UP_RATE: 'fast' }
    const overrides = [{ key: 'up.vehicels', value: 3, flag: '--set' }]
    expect(problems(yaml, { env, overrides })).toEqual([
      'skein.yaml:1:9: mesh.replicas is "two"; expected a number',
      'skein.yaml:1:24: mesh.shards is 32; it must be 64: it decides where every stored source belongs',
      'skein.yaml:1:36: mesh.writeQuorum is 0; it must be at least 1',
      'skein.yaml:2:1: transport is "zermq"; expected memory, zeromq, zenoh, hyperswarm, nats, kafka; did you mean zeromq?',
      'skein.yaml:3:1: seeds is "127.0.0.1:7701"; expected a list',
      'skein.yaml:5:3: storage.bucket is "1 parsec"; its unit must be one of us, µs, ms, s, m, h, d',
      'skein.yaml:6:11: storage.http.port is 70000; it must be at most 65535',
      'skein.yaml:7:14: publisher.linger is 5 without a unit; expected a duration such as 5ms, 10s or 1h',
      'skein.yaml:7:25: publisher.compress is "yes"; expected true or false',
      'skein.yaml:7:50: publisher.outbox.disk is true; it must be false or a size such as 1GiB',
      'skein.yaml:7:62: publisher.outbox.whenFull is "drop"; expected refuse, drop-oldest, drop-newest',
      'skein.yaml:8:1: up is 4; expected a section (keys and values)',
      'env SKEIN_STORAGE_BUGET: variable is not known; did you mean SKEIN_STORAGE_BUDGET?',
      'flag --set: up.vehicels is not known; did you mean up.vehicles?',
    ])
  })

  test('level - one of those there are', () => {
    expect(problems('publisher: { level: sync }')).toEqual([
      'skein.yaml:1:14: publisher.level is "sync"; expected received, written, synced; did you mean synced?',
    ])
  })

  test('environment - a wrong value names its variable', () => {
    const env = { SKEIN_UP_RATE: 'fast', SKEIN_STORAGE_HTTP_PORT: '' }
    expect(problems(undefined, { env })).toEqual([
      'env SKEIN_UP_RATE: up.rate is "fast"; expected a number',
    ])
  })

  test('yaml - a syntax error and a key given twice have a place', () => {
    expect(problems('mesh: [1')[0]).toMatch(/^skein\.yaml:1:\d+: /)
    expect(problems('data: a\ndata: b\n')[0]).toMatch(/^skein\.yaml:2:1: .*unique/)
    expect(problems('- a\n- b\n')[0]).toBe('skein.yaml:1:1: expected keys and values')
  })

  test('quorum - W may not exceed R', () => {
    expect(problems('mesh: { replicas: 1 }')).toEqual([
      'skein.yaml:1:1: mesh.writeQuorum is 2, more than mesh.replicas (1): nothing would ever be acknowledged',
    ])
    expect(load('mesh: { replicas: 1, writeQuorum: 1 }').config.mesh.replicas).toBe(1)
  })

  test('windows and thresholds - each with its place in the list', () => {
    const yaml = `
aggregator:
  windows:
    - { name: a, stream: s, every: 0s, fields: [x] }
    - { name: b, stream: s, fields: [] }
    - { name: c d, stream: s, every: 1s, fields: [x], aggregates: [median] }
  thresholds:
    - { name: t, stream: s, field: x, above: .nan }
`
    expect(problems(yaml)).toEqual([
      'skein.yaml:4:29: aggregator.windows[0].every is "0s"; it must be longer than nothing',
      'skein.yaml:5:7: aggregator.windows[1].every is missing',
      'skein.yaml:5:29: aggregator.windows[1].fields is empty',
      'skein.yaml:6:9: aggregator.windows[2].name is no stream name: stream name "c d" may hold only letters, digits, . _ -',
      'skein.yaml:6:68: aggregator.windows[2].aggregates[0] is "median"; expected count, sum, avg, min, max',
      'skein.yaml:8:39: aggregator.thresholds[0].above is NaN; expected a number',
    ])
  })

  test('windows and thresholds - rules between keys', () => {
    const yaml = `
aggregator:
  windows:
    - { name: a, stream: s, every: 1s, fields: [x, x] }
    - { name: a, stream: s, every: 1s, fields: [x], lateness: 1h }
    - { name: c, stream: s.d, every: 1s, fields: [x], output: s.e }
  thresholds:
    - { name: t, stream: s, field: x }
    - { name: u, stream: s, field: x, above: 1, below: 2 }
    - { name: v, stream: s.e, field: x, above: 1, output: s.d }
`
    expect(problems(yaml)).toEqual([
      'skein.yaml:4:40: aggregator.windows[0].fields names "x" twice',
      'skein.yaml:5:7: aggregator.windows[1] writes stream s.a, as aggregator.windows[0] does',
      'skein.yaml:5:53: aggregator.windows[1].lateness spans more than 1000 windows of this length',
      'skein.yaml:6:7: aggregator.windows[2] reads in a circle what it writes (s.e)',
      'skein.yaml:8:7: aggregator.thresholds[0] needs above, below or both',
      'skein.yaml:9:49: aggregator.thresholds[1].below is 2; it must be less than above (1)',
      'skein.yaml:10:7: aggregator.thresholds[2] reads in a circle what it writes (s.d)',
    ])
  })

  test('retention - classes in the order written, the default last, no limit left out', () => {
    const yaml = [
      'storage:',
      '  retention:',
      '    size: 1GiB',
      '    classes:',
      '      alerts: { streams: [vehicle.alert, "city.*"], age: 365d }',
    ].join('\n')
    expect(load(yaml).config.storage.retention).toEqual([
      { name: 'alerts', streams: ['vehicle.alert', 'city.*'], ageUs: 365 * 86_400_000_000 },
      { name: 'default', streams: ['*'], bytes: 2 ** 30 },
    ])
  })

  test('retention - what is wrong is said where it stands', () => {
    const faults = (text: string): string[] => problems(`storage: { retention: ${text} }`)
    expect(faults('{ age: 0 }')).toEqual([
      'skein.yaml:1:25: storage.retention.age is 0; expected a duration such as 7d, or none',
    ])
    expect(faults('{ classes: { default: { streams: [a] } } }')).toHaveLength(1)
    expect(faults('{ classes: { a: { streams: ["a*b"] } } }')[0]).toContain(
      'is neither a stream nor the beginning of one',
    )
  })

  test('published streams - names, schemas and where their files are', () => {
    const yaml = `
publisher:
  streams:
    a b: { codec: json }
    city.air: { schema: { type: array } }
    city.noise: { schema: absent.json }
    city.rain: { codek: json }
`
    const [name, inline, absent, key] = problems(yaml)
    expect(name).toContain('skein.yaml:4:5: publisher.streams["a b"] is no stream name')
    expect(inline).toContain(
      'skein.yaml:5:17: publisher.streams["city.air"].schema: schema: type is',
    )
    expect(absent).toMatch(/^skein\.yaml:6:19: .*ENOENT.*absent\.json/)
    expect(key).toBe(
      'skein.yaml:7:18: publisher.streams["city.rain"].codek is not known; did you mean publisher.streams["city.rain"].codec?',
    )
  })

  test('transport - options written twice, unknown ones, and a section without name', () => {
    expect(
      problems('zeromq: { bind: "tcp://a:1" }\ntransport: { name: zeromq, bind: "tcp://b:1" }'),
    ).toEqual(['skein.yaml:2:28: transport.bind is also written as zeromq.bind'])
    expect(problems('transport: { name: zeromq, bindd: x }')).toEqual([
      'skein.yaml:1:28: zeromq.bindd is not known; did you mean zeromq.bind?',
    ])
    expect(problems('transport: { bind: "tcp://b:1" }')[0]).toContain('transport.name is missing')
  })

  test('error - carries its code and the problems as data', () => {
    const error = failure('storage: { buget: 1 }')
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', retryable: false })
    expect(error.details['problems']).toEqual([
      {
        origin: { kind: 'file', file: 'skein.yaml', line: 1, column: 12 },
        message: 'storage.buget is not known; did you mean storage.budget?',
      },
    ])
  })
})

describe('explainConfig', () => {
  test('lists and streams - every key within has its own line', () => {
    const yaml = `
publisher:
  streams:
    city.air: { codec: json }
aggregator:
  windows:
    - name: w
      stream: s
      every: 1s
      fields: [x]
`
    const rows = explainConfig(load(yaml)).filter(({ key }) => /streams|windows/.test(key))
    expect(rows.map(({ key, value, from }) => [key, value, from])).toEqual([
      ['publisher.streams["city.air"].codec', 'json', 'skein.yaml:4'],
      ['aggregator.windows[0].name', 'w', 'skein.yaml:7'],
      ['aggregator.windows[0].stream', 's', 'skein.yaml:8'],
      ['aggregator.windows[0].every', '1s', 'skein.yaml:9'],
      ['aggregator.windows[0].fields', ['x'], 'skein.yaml:10'],
      ['aggregator.windows[0].aggregates', ['count', 'avg', 'min', 'max'], 'default'],
      ['aggregator.windows[0].lateness', '2s', 'default'],
    ])
  })

  test('variables - each row names the one that would override it', () => {
    const row = explainConfig(load(undefined)).find(({ key }) => key === 'storage.http.port')
    expect(row).toMatchObject({ value: 0, from: 'default', env: 'SKEIN_STORAGE_HTTP_PORT' })
  })
})
