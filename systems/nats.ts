// nats-server with JetStream, built by Go from its released module.
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Place, System } from './system.ts'
import { GO, runTool } from './tools.ts'

const VERSION = '2.15.2'
const PROGRAM = join('bin', 'nats-server')
/** Frames are far smaller; it is the largest that the NATS project advises. */
const MESSAGE_BYTES_MAX = 8 * 1024 * 1024
const PROBE_MS = 2_000

export const nats: System = {
  name: 'nats',
  version: VERSION,
  title: 'nats-server (JetStream)',
  hasPeerPort: false,
  installTools: [GO],
  runTools: [],
  files: [PROGRAM],
  startLimitMs: 30_000,

  async install(installPath, options) {
    await runTool('go', ['install', `github.com/nats-io/nats-server/v2@v${VERSION}`], {
      ...options,
      cwd: installPath,
      env: { GOBIN: join(installPath, 'bin'), GO111MODULE: 'on' },
    })
  },

  async installedVersion(installPath) {
    let said = ''
    await runTool(join(installPath, PROGRAM), ['--version'], { onLine: (line) => (said = line) })
    return said.replace('nats-server: v', '')
  },

  async prepare(place) {
    const { installPath, dataPath } = place
    const path = join(dataPath, 'nats-server.conf')
    await writeFile(path, configuration(place))
    return { command: join(installPath, PROGRAM), words: ['--config', path] }
  },

  probe: ({ host, port }) => probe(host, port),

  address: ({ host, port }) => `nats://${host}:${port}`,
}

/** nats-server reads JSON as its own format. */
function configuration({ dataPath, host, port, nats: options = {} }: Place): string {
  const { syncAlways = false, messageBytesMax = MESSAGE_BYTES_MAX, user, password, token } = options
  return JSON.stringify(
    {
      host,
      port,
      max_payload: messageBytesMax,
      jetstream: {
        store_dir: join(dataPath, 'data'),
        ...(syncAlways && { sync_interval: 'always' }),
      },
      ...(user !== undefined && { authorization: { user, password } }),
      ...(token !== undefined && { authorization: { token } }),
    },
    undefined,
    2,
  )
}

/** A server says INFO to whoever connects, and says it only after JetStream has recovered its streams. */
function probe(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, host)
    let said = ''
    socket.setEncoding('utf8').setTimeout(PROBE_MS, () => socket.destroy(new Error('no INFO')))
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed before INFO')))
    socket.on('data', (text: string) => {
      said += text
      if (!said.includes('\r\n')) return
      if (/^INFO .*"jetstream":true/.test(said)) resolve()
      else reject(new Error('no JetStream'))
      socket.destroy()
    })
  })
}
