// Starts an echo-peer.ts and waits until it says who it is.
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { PeerId } from '../names.ts'
import type { EchoPeerConfig } from './echo-peer.ts'
import type { RemotePeer } from './transport-rig.ts'

export interface SpawnedPeer extends RemotePeer {
  readonly process: ChildProcess
}

export async function spawnEchoPeer(config: EchoPeerConfig, dials?: string): Promise<SpawnedPeer> {
  const program = fileURLToPath(new URL('echo-peer.ts', import.meta.url))
  const args = [program, JSON.stringify(config), ...(dials ? [dials] : [])]
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  const said = JSON.parse(line) as { peerId: PeerId; endpoint: string }
  return {
    ...said,
    process: child,
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}
