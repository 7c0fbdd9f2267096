// The real programs: started, asked, killed, restarted, stopped.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { inspect } from 'node:util'
import { Admin } from '@platformatic/kafka'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { afterEach, expect, test } from 'vitest'
import { eventually } from '../mesh/conformance/eventually.ts'
import { SYSTEM_NAMES, startSystem, type RunningSystem, type StartOptions } from './index.ts'
import { isAlive } from './process-identity.ts'
import { SYSTEMS } from './systems-by-name.ts'
import { systemSuite } from './testing.ts'

/** Kafka formats its disk, starts, is killed and starts: some 10 s when the machine has nothing else. */
const LIMIT_MS = 120_000

const started: RunningSystem[] = []

async function start(name: RunningSystem['name'], options?: StartOptions): Promise<RunningSystem> {
  const system = await startSystem(name, options)
  started.push(system)
  return system
}

afterEach(async () => {
  await Promise.all(started.splice(0).map((system) => system.stop()))
}, LIMIT_MS)

/** Asks at the address, as `startSystem` does: the tests below ask by the systems' own clients. */
function answers({ name, address }: RunningSystem): Promise<void> {
  const port = Number(address.split(':').at(-1))
  return SYSTEMS[name].probe({
    installPath: '',
    dataPath: '',
    host: '127.0.0.1',
    port,
    peerPort: 0,
  })
}

for (const name of SYSTEM_NAMES) {
  systemSuite(
    name,
    () => {
      test(
        'answers, is killed, comes back at the same address, and stops without a trace',
        { timeout: LIMIT_MS },
        async () => {
          const system = await start(name)
          await answers(system)
          const { pid, address, dataPath } = system

          await system.kill()
          expect(isAlive(pid)).toBe(false)
          await expect(answers(system)).rejects.toThrow(/ECONNREFUSED|no WebSocket/)
          expect(existsSync(dataPath)).toBe(true)

          await system.restart()
          expect(system.address).toBe(address)
          expect(system.pid).not.toBe(pid)
          await answers(system)

          const last = system.pid
          await system.stop()
          expect(isAlive(last)).toBe(false)
          expect(existsSync(dataPath)).toBe(false)
          await expect(answers(system)).rejects.toThrow(/ECONNREFUSED|no WebSocket/)
          await expect(system.restart()).rejects.toMatchObject({ code: 'SYSTEM_NOT_RUNNING' })
        },
      )

      test('a port that is taken - is said at once', async () => {
        const server = createServer().listen(0, '127.0.0.1')
        await once(server, 'listening')
        const { port } = server.address() as AddressInfo
        try {
          const failed = startSystem(name, { port })
          await expect(failed).rejects.toMatchObject({ code: 'SYSTEM_PORT_TAKEN' })
          await expect(failed).rejects.toThrow(`port ${port} of 127.0.0.1 is taken`)
        } finally {
          server.close()
        }
      })

      test(
        'does not outlive the process that started it, even one that is killed',
        { timeout: LIMIT_MS },
        async () => {
          const script = `
          import { startSystem } from ${JSON.stringify(join(import.meta.dirname, 'index.ts'))}
          const { pid, dataPath } = await startSystem(${JSON.stringify(name)})
          console.log(JSON.stringify({ pid, dataPath }))
          setInterval(() => {}, 1000)`
          const parent = spawn(process.execPath, ['--input-type=module', '--eval', script], {
            stdio: ['ignore', 'pipe', 'inherit'],
          })
          const [line] = (await once(createInterface({ input: parent.stdout }), 'line')) as [string]
          const { pid, dataPath } = JSON.parse(line) as { pid: number; dataPath: string }
          expect(isAlive(pid)).toBe(true)
          parent.kill('SIGKILL')
          await eventually(() => !isAlive(pid), { what: 'the system is gone' })
          await eventually(() => !existsSync(dataPath), { what: 'its temporary data is gone' })
        },
      )
    },
    `systems: ${name}`,
  )
}

systemSuite(
  'nats',
  () => {
    test('JetStream keeps a stream over a kill', async () => {
      const system = await start('nats', { nats: { syncAlways: true } })
      const write = await connect({ servers: system.address })
      await (await jetstreamManager(write)).streams.add({ name: 'kept', subjects: ['kept.>'] })
      await jetstream(write).publish('kept.one', 'one')
      await write.close()
      await system.kill()
      await system.restart()
      const read = await connect({ servers: system.address })
      const { state } = await (await jetstreamManager(read)).streams.info('kept')
      await read.close()
      expect(state.messages).toBe(1)
    })

    test.each([
      ['a user', { user: 'skein', password: 'secret' }, { user: 'skein', pass: 'secret' }],
      ['a token', { token: 'secret' }, { token: 'secret' }],
    ])('%s - is let in, and nobody else', async (_, nats, right) => {
      const { address } = await start('nats', { nats })
      const connection = await connect({ servers: address, ...right })
      await connection.close()
      await expect(connect({ servers: address })).rejects.toThrow(/uthorization/)
    })

    test('a second one on the same data - is refused', async () => {
      const { dataPath } = await start('nats')
      const second = startSystem('nats', { dataPath })
      await expect(second).rejects.toMatchObject({ code: 'SYSTEM_RUNNING' })
    })

    test('one that cannot start - says what it said last', async () => {
      const dataPath = mkdtempSync(join(tmpdir(), 'skein-nats-'))
      try {
        writeFileSync(join(dataPath, 'data'), 'not a folder')
        const failed = startSystem('nats', { dataPath })
        await expect(failed).rejects.toMatchObject({ code: 'SYSTEM_START_FAILED' })
        await expect(failed).rejects.toThrow(/ended: exit code 1\. It said:\n.*JetStream/s)
      } finally {
        rmSync(dataPath, { recursive: true, force: true })
      }
    })
  },
  'systems: what only nats has',
)

systemSuite(
  'kafka',
  () => {
    test('the right password is let in, and no other', { timeout: LIMIT_MS }, async () => {
      const sasl = { username: 'skein', password: 'secret' }
      const { address } = await start('kafka', { kafka: { sasl } })
      const topics = async (password: string): Promise<readonly string[]> => {
        const admin = new Admin({
          clientId: 'test',
          bootstrapBrokers: [address],
          sasl: { mechanism: 'PLAIN', username: 'skein', password },
          retries: 0,
        })
        try {
          return await admin.listTopics()
        } finally {
          await admin.close()
        }
      }
      expect(await topics('secret')).toEqual([])
      const refused = await topics('wrong').catch((error: unknown) => inspect(error, { depth: 5 }))
      expect(refused).toMatch(/SASL authentication failed/)
    })
  },
  'systems: what only kafka has',
)
