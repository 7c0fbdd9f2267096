// What may be wrong with a storage peer's port, directory and disk, and with what others send it.
import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import * as zeromq from 'zeromq'
import { eventually } from '../mesh/conformance/eventually.ts'
import {
  createTransport,
  encodeFrame,
  framesTopic,
  newEpoch,
  NO_SCHEMA,
  systemClock,
  systemRandom,
} from '../mesh/index.ts'
import { encodeMessage } from '../mesh/message.ts'
import { openPublisher, openSession } from '../nodes/index.ts'
import { jsonError, onlyJson, Shell } from './harness/command.ts'
import { OneStore } from './harness/one-store.ts'

const shell = new Shell()
afterAll(() => shell[Symbol.asyncDispose]())

describe('ports and directories', () => {
  test('port in use, directory in use, of another mesh - code, place, what to do', async () => {
    const cwd = shell.directory()
    await using first = await OneStore.start({ cwd, meshName: 'first' })
    const { endpoint, http } = first.node
    const port = new URL(http).port

    const samePort = await OneStore.create({ cwd: shell.directory(), endpoint: endpoint! })
    await expect(samePort.start()).rejects.toMatchObject({
      code: 'MESH_ADDRESS_IN_USE',
      message: expect.stringContaining(`cannot listen on ${endpoint}: another process listens`),
    })
    const settings = [`storage.http.port=${port}`]
    const sameHttp = await OneStore.create({ cwd: shell.directory(), settings })
    await expect(sameHttp.start()).rejects.toMatchObject({
      code: 'NODE_ADDRESS_IN_USE',
      message: expect.stringContaining(`cannot serve HTTP on 127.0.0.1:${port}`),
    })
    const sameDirectory = await OneStore.create({ cwd, meshName: 'first' })
    await expect(sameDirectory.start()).rejects.toMatchObject({
      code: 'STORE_IN_USE',
      message: expect.stringContaining('another process uses this store. Stop it, or choose'),
    })
    await first[Symbol.asyncDispose]()
    const otherMesh = await OneStore.create({ cwd, meshName: 'second' })
    await expect(otherMesh.start()).rejects.toMatchObject({
      code: 'STORE_WRONG_MESH',
      message: expect.stringContaining('belongs to mesh "first", not to "second": choose another'),
    })
    // Whoever failed to start has let go of everything.
    await using again = await OneStore.start({ cwd, meshName: 'first', endpoint: endpoint! })
    expect(again.node.endpoint).toBe(endpoint)
  })

  test('on the command line - exit code 1, one line, no stack', async () => {
    const cwd = shell.directory()
    await using store = await OneStore.start({ cwd })
    const ended = await shell.run([...store.flags, '--data', join(cwd, 'data'), 'node', 'storage'])
    expect(ended.stderr).toMatch(/^STORE_IN_USE: .* is locked: .*\n$/)
    expect(ended.code).toBe(1)
  })
})

describe('what others send', () => {
  test('wrong CRC, oversize, garbage - counted, dropped, and the peer goes on', async () => {
    await using store = await OneStore.start({ cwd: shell.directory() })
    const { node, config } = store
    await using session = await openSession(config, {})
    const publisher = await openPublisher(session, config, { outboxName: 'test' })
    await using transport = await createTransport({
      name: 'zeromq',
      meshId: session.mesh.id,
      clock: systemClock,
      random: systemRandom,
    })
    const linked = Promise.withResolvers<void>()
    await transport.open()
    transport.onLink(({ up }) => up && linked.resolve())
    transport.link(node.endpoint!)
    await linked.promise
    const [peer] = transport.linked()
    const topic = framesTopic(node.storeId)
    const send = (frame: Buffer): boolean =>
      transport.publish(topic, encodeMessage(session.mesh.id, transport.peerId, [frame]), peer)

    const wrongCrc = frameOf()
    wrongCrc[wrongCrc.length - 1]! ^= 1
    send(wrongCrc)
    await eventually(async () => (await store.metric('skein_ingest_rejected_frames_total')) === 1)
    send(Buffer.alloc((1 << 20) + 1))
    await eventually(async () => (await store.metric('skein_ingest_rejected_messages_total')) === 1)

    // Larger than any packet may be: ZeroMQ ends that connection before it is read.
    using dealer = dealerTo(node.endpoint!)
    await dealer.socket.send(Buffer.alloc(17 << 20))
    await dealer.dropped
    await rawGarbage(node.endpoint!)
    await dealer.reconnected
    await dealer.socket.send(Buffer.from('no packet of ours'))
    await eventually(
      async () => (await store.metric('skein_transport_rejected_messages_total')) > 0,
    )

    publisher.publish('test.after', 'S1', { timeUs: systemClock.nowUs(), fields: { x: 1 } })
    expect(await publisher.close({ drainMs: 10_000 })).toBe(0)
    expect(publisher.counters.samplesStored).toBe(1)
    expect((await store.health()).status).toBe(200)
  })
})

describe('another mesh', () => {
  test('who asks under a wrong name is told so, and the store says once that somebody knocks', async () => {
    await using store = await OneStore.start({ cwd: shell.directory() })
    const words = ['--seed', store.node.endpoint!, '--set', 'mesh.name=other', 'status', '--json']
    const asked = await shell.run(words)
    expect(jsonError(asked)).toMatchObject({
      code: 'QUERY_NO_PEER',
      message: expect.stringMatching(/and is its mesh\.name other, without mesh\.key\?$/),
    })
    expect(store.warnings).toEqual([
      expect.stringMatching(
        `mesh ${store.config.mesh.name} .* give it the same mesh.name and mesh.key`,
      ),
    ])
  })
})

describe('disk full', () => {
  const reason = whyNoTmpfs()
  if (reason !== undefined) console.log(`skipped: disk full on a tmpfs (${reason})`)

  test.skipIf(reason !== undefined)(
    'the store stops acknowledging, says why, and recovers when there is space',
    async () => {
      const cwd = shell.directory()
      using disk = tmpfs(join(cwd, 'data'), '32m')
      await using store = await OneStore.start({ cwd })
      await using session = await openSession(store.config, {})
      const publisher = await openPublisher(session, store.config, { outboxName: 'test' })
      const publish = (x: string): boolean =>
        publisher.publish('test.disk', 'S1', { timeUs: systemClock.nowUs(), fields: { x } })
      publish('before')
      await publisher.stored()

      disk.fill()
      // More than what the store may have set aside.
      for (let i = 0; i < 200; i++) publish(`${i}`.padEnd(100_000, 'full'))
      const { reasons } = await eventually(async () => {
        const health = await store.health()
        return health.status === 503 && health
      })
      expect(reasons[0]).toMatch(/^STORE_DISK_FULL: .*data.*: the disk is full .*: free at least/)
      const status = await shell.run([...store.flags, 'status'])
      expect(status.stdout).toMatch(/STORE_DISK_FULL: .*the disk is full/)
      expect(status.stderr).toMatch(/does not acknowledge: 0 of 1 stores can, 1 must/)
      expect(status.code).toBe(1)
      expect(publisher.pendingSamples).toBeGreaterThan(0)

      disk.free()
      await publisher.stored()
      expect((await store.health()).status).toBe(200)
      expect(publisher.counters.samplesStored).toBe(201)
      const asked = await shell.run([
        ...store.flags,
        'query',
        'downsample',
        '-s',
        'test.disk',
        '--fields',
        'x',
        '--agg',
        'count',
        '--from',
        '-1h',
        '--every',
        '1d',
        '--by',
        'stream',
        '--json',
      ])
      const counted = onlyJson(asked.stdout.split('\n')[0]!)
      expect(counted).toMatchObject({ fields: { x: { count: 201 } } })
    },
  )

  test.skipIf(reason !== undefined)('at the start of a store - is said, and where', async () => {
    const cwd = shell.directory()
    using disk = tmpfs(join(cwd, 'data'), '8m')
    disk.fill()
    const words = ['--data', join(cwd, 'data'), 'node', 'storage']
    const { code, stderr } = await shell.run(words, { cwd })
    expect(stderr).toMatch(/^STORE_DISK_FULL: cannot \w+ .*data\/storage.*: the disk is full .*\n$/)
    expect(code).toBe(1)
  })
})

function frameOf(): Buffer {
  const nowUs = systemClock.nowUs()
  const header = { kind: 'data', codec: 'json', firstUs: nowUs, lastUs: nowUs, count: 1 } as const
  const name = { source: 'S1', stream: 's', epoch: newEpoch(nowUs, systemRandom), sequence: 1 }
  return encodeFrame({ ...header, ...name, schemaId: NO_SCHEMA }, Buffer.from('[{}]'))
}

/** A DEALER as anybody could write one, and what becomes of its connections. */
function dealerTo(endpoint: string): {
  readonly socket: zeromq.Dealer
  readonly dropped: Promise<void>
  readonly reconnected: Promise<void>
} & Disposable {
  const socket = new zeromq.Dealer({ linger: 0 })
  const dropped = Promise.withResolvers<void>()
  const reconnected = Promise.withResolvers<void>()
  void (async () => {
    let hasDropped = false
    for await (const event of socket.events) {
      if (event.type === 'end') return
      if (event.type === 'disconnect') hasDropped = true
      if (event.type === 'disconnect') dropped.resolve()
      if (event.type === 'handshake' && hasDropped) reconnected.resolve()
    }
  })()
  socket.connect(endpoint)
  return {
    socket,
    dropped: dropped.promise,
    reconnected: reconnected.promise,
    [Symbol.dispose]: () => socket.close(),
  }
}

/** Bytes that are no ZMTP, from a bare TCP socket. */
async function rawGarbage(endpoint: string): Promise<void> {
  const { hostname, port } = new URL(endpoint.replace('tcp:', 'http:'))
  await new Promise<void>((resolve) => {
    const socket = connect({ host: hostname, port: Number(port) })
    socket.on('error', () => undefined)
    socket.once('close', () => resolve())
    socket.write(Buffer.alloc(4096, 0xa5), () => socket.destroy())
  })
}

function whyNoTmpfs(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root can mount one'
  return readFileSync('/proc/filesystems', 'utf8').includes('tmpfs') ? undefined : 'there is none'
}

interface TinyDisk extends Disposable {
  fill(): void
  free(): void
}

function tmpfs(directory: string, size: string): TinyDisk {
  mkdirSync(directory)
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'skein-test', directory])
  const filler = join(directory, 'filler')
  return {
    fill: () => {
      const file = openSync(filler, 'w')
      const bytes = Buffer.alloc(4096)
      try {
        for (;;) writeSync(file, bytes)
      } catch {
        // Full, as it should be.
      } finally {
        closeSync(file)
      }
    },
    free: () => rmSync(filler),
    [Symbol.dispose]: () => execFileSync('umount', ['-l', directory]),
  }
}
