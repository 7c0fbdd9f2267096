// `skein bootstrap`: a DHT node of one's own, so that a Hyperswarm mesh on one site needs no internet.
import { Option, type Command } from 'commander'
import { startBootstrap } from '../../mesh/index.ts'
import { stopRequested } from '../../nodes/index.ts'
import { wantsJson } from '../context.ts'
import { note, printJson, wholeNumber } from '../output.ts'

interface BootstrapFlags {
  readonly host: string
  readonly port: string
}

const HOST = '127.0.0.1'
/** As HyperDHT's own nodes. */
const PORT = '49737'

const AFTER_HELP = `
Peers find each other through it: give them
  --transport hyperswarm --set hyperswarm.bootstrap=<host>:<port>
It keeps nothing on disk. After a restart peers announce themselves again within
seconds, and links that are up do not need it. skein up starts one by itself.`

export function addBootstrap(program: Command): void {
  program
    .command('bootstrap')
    .description('run a DHT node through which the peers of a Hyperswarm mesh find each other')
    .addOption(
      new Option('--host <address>', 'IPv4 address of this machine that peers can reach').default(
        HOST,
        HOST,
      ),
    )
    .addOption(new Option('--port <n>', 'UDP port; 0 takes a free one').default(PORT, PORT))
    .addHelpText('after', AFTER_HELP)
    .action(bootstrap)
}

/** @throws UsageError; MeshError MESH_ADDRESS_IN_USE, MESH_ADDRESS_INVALID. */
async function bootstrap({ host, port }: BootstrapFlags, command: Command): Promise<void> {
  const stopping = stopRequested()
  const node = await startBootstrap({ host, port: wholeNumber('--port', port, 0) })
  if (wantsJson(command)) printJson({ type: 'ready', address: node.address })
  else note(`DHT node at ${node.address}: peers take it as hyperswarm.bootstrap`)
  await stopping
  await node.close()
}
