// The `skein` command. Each verb has its file in verbs/; this one only names them.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, CommanderError } from 'commander'
import { collect } from './context.ts'
import { EXIT } from './exit-codes.ts'
import { endQuietlyOnEpipe, reportError, usageError } from './output.ts'
import { addBootstrap } from './verbs/bootstrap.ts'
import { addConfig } from './verbs/config.ts'
import { addNode } from './verbs/node.ts'
import { addPeers } from './verbs/peers.ts'
import { addPublish } from './verbs/publish.ts'
import { addQuery } from './verbs/query.ts'
import { addReplay } from './verbs/replay.ts'
import { addStatus } from './verbs/status.ts'
import { addSubscribe } from './verbs/subscribe.ts'
import { addUp } from './verbs/up.ts'

const AFTER_HELP = `
Begin with:
  skein up                                a mesh on this machine, with a fleet
  skein query latest -s vehicle.motion    in another terminal: where all are
  skein subscribe vehicle.motion          what they send, as they send it

Exit codes: 0 done, 1 failed, 2 wrong command line, configuration or input file,
3 ended with samples that W stores have not acknowledged, 130 broken off. Errors
are CODE: what, where, what to do; docs/errors.md has them all.`

const program = new Command('skein')
  .description('A brokerless telemetry mesh: acknowledged readings are on disk on several peers.')
  .version(version(), '-V, --version', 'print the version')
  .option('-c, --config <file>', 'configuration (default: skein.yaml here, if there is one)')
  .option('--data <dir>', 'where data is kept (default: ./.skein)')
  .option(
    '--seed <endpoint>',
    'a peer to begin with, e.g. tcp://127.0.0.1:7701; may be repeated',
    collect,
  )
  .option('--transport <name>', 'zeromq (default), hyperswarm, zenoh, nats or kafka')
  .option('--set <key=value>', 'override any configuration key; may be repeated', collect)
  .option('--json', 'print JSON: results on stdout, errors and warnings on stderr')
  .addHelpText('after', AFTER_HELP)
  .helpOption('-h, --help', 'print help')
  .helpCommand('help [verb]', 'print the help of a verb')
  .exitOverride()
  // What is wrong with the words is said below, as every other error is.
  .configureOutput({ outputError: () => undefined })
  .configureHelp({ showGlobalOptions: true })

for (const add of [addUp, addPublish, addSubscribe, addQuery, addReplay, addPeers, addStatus]) {
  add(program)
}
addConfig(program)
addNode(program)
addBootstrap(program)

endQuietlyOnEpipe()
// While a server is away there may be no socket, and the mesh's timers keep no process alive.
const awake = setInterval(() => undefined, 60_000)
try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = exitCodeOf(error)
} finally {
  clearInterval(awake)
}

function exitCodeOf(error: unknown): number {
  const json = process.argv.includes('--json')
  if (!(error instanceof CommanderError)) return reportError(error, json)
  // Help and version were asked for and printed; a verb was left out and help was printed instead.
  if (error.exitCode === 0) return EXIT.ok
  if (error.code === 'commander.help') return EXIT.usage
  return reportError(usageError(error, verbOf(process.argv.slice(2))), json)
}

/** The verb, or the two words of one, that a command line asks for. */
function verbOf(words: readonly string[]): string {
  const verbs: string[] = []
  let commands = program.commands
  for (const word of words) {
    const found = commands.find((command) => command.name() === word)
    if (found === undefined) continue
    verbs.push(word)
    commands = found.commands
  }
  return verbs.join(' ')
}

function version(): string {
  const text = readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
