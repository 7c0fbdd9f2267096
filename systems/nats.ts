// nats-server with JetStream, and the project's own command line tool, which has its benchmarks: built by
// Go from their released modules.
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { installPathOf } from './paths.ts'
import type { Place, Program, System } from './system.ts'
import { GO, runTool, type RunOptions } from './tools.ts'

const VERSION = '2.15.2'
const PROGRAM = join('bin', 'nats-server')
const TOOL_MODULE = 'github.com/nats-io/natscli@v0.4.0'
const TOOL = join('bin', 'nats')
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
  files: [PROGRAM, TOOL],
  startLimitMs: 30_000,

  async install(installPath, options) {
    await runTool('go', ['install', `github.com/nats-io/nats-server/v2@v${VERSION}`], {
      ...options,
      cwd: installPath,
      env: { GOBIN: join(installPath, 'bin'), GO111MODULE: 'on' },
    })
    await installTool(installPath, options)
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

/** The command line tool `nats`, with these words. */
export function natsTool(words: readonly string[]): Program {
  return { command: join(installPathOf(nats), TOOL), words }
}

/** Not by `go install`, which asks for the list of all versions first: not every proxy gives it. */
async function installTool(installPath: string, options: RunOptions): Promise<void> {
  let source = ''
  await runTool('go', ['mod', 'download', '-json', TOOL_MODULE], {
    cwd: installPath,
    env: { GO111MODULE: 'on' },
    onLine: (line) => (source = /"Dir": "(.*)"/.exec(line)?.[1] ?? source),
  })
  await runTool('go', ['build', '-C', source, '-o', join(installPath, TOOL), './nats'], options)
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
