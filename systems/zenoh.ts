// The Zenoh bridge that browsers and Node.js reach Zenoh through, built by Cargo from its released crate.
// The profile trades speed of the program for speed of the build: minutes instead of a quarter of an hour.
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Place, System } from './system.ts'
import { CARGO, LINKER, runTool } from './tools.ts'

const VERSION = '1.10.2'
const CRATE = 'zenoh-bridge-remote-api'
const PROGRAM = join('bin', CRATE)
const PROBE_MS = 2_000

export const zenoh: System = {
  name: 'zenoh',
  version: VERSION,
  title: 'Zenoh bridge (zenoh-bridge-remote-api)',
  hasPeerPort: true,
  installTools: [CARGO, LINKER],
  runTools: [],
  files: [PROGRAM],
  startLimitMs: 30_000,

  async install(installPath, options) {
    const target = join(installPath, 'target')
    const words = ['install', CRATE, '--version', VERSION, '--locked', '--root', installPath]
    await runTool('cargo', words, {
      ...options,
      cwd: installPath,
      env: {
        CARGO_TARGET_DIR: target,
        CARGO_PROFILE_RELEASE_LTO: 'off',
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '16',
        CARGO_PROFILE_RELEASE_OPT_LEVEL: '1',
        CARGO_PROFILE_RELEASE_DEBUG: '0',
      },
    })
    await rm(target, { recursive: true, force: true })
  },

  async installedVersion(installPath) {
    let said = ''
    await runTool(join(installPath, PROGRAM), ['--version'], { onLine: (line) => (said = line) })
    return said.replace(/^.* v/, '')
  },

  async prepare(place) {
    const { installPath, dataPath } = place
    const path = join(dataPath, 'bridge.json5')
    await writeFile(path, configuration(place))
    return {
      command: join(installPath, PROGRAM),
      words: ['--mode', 'peer', '--config', path],
      env: { RUST_LOG: 'warn' },
    }
  },

  probe: (place) => probe(address(place)),

  address,

  zenohAddress,
}

function address({ host, port }: Place): string {
  return `ws://${host}:${port}`
}

function zenohAddress({ host, peerPort }: Place): string {
  return `tcp/${host}:${peerPort}`
}

/** Without multicast, two meshes of tests on one machine cannot find each other. */
function configuration(place: Place): string {
  return JSON.stringify(
    {
      mode: 'peer',
      listen: { endpoints: [zenohAddress(place)] },
      connect: { endpoints: place.zenoh?.connect ?? [] },
      scouting: { multicast: { enabled: false } },
      timestamping: { enabled: true },
      transport: { unicast: { max_sessions: 10_000 } },
      plugins: { remote_api: { websocket_port: `${place.host}:${place.port}` } },
    },
    undefined,
    2,
  )
}

function probe(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url)
    const give = AbortSignal.timeout(PROBE_MS)
    give.addEventListener('abort', () => {
      reject(new Error('no answer to the WebSocket upgrade'))
      socket.close()
    })
    socket.addEventListener('error', () => reject(new Error('no WebSocket')))
    socket.addEventListener('open', () => {
      resolve()
      socket.close()
    })
  })
}
