#!/usr/bin/env node
// The `skein` command. Each verb has its file in verbs/; this one only names them.
import { Command, CommanderError } from 'commander'
import { EXIT } from './exit-codes.ts'
import { endQuietlyOnEpipe, reportError } from './output.ts'
import { addConfig } from './verbs/config.ts'
import { addNode } from './verbs/node.ts'
import { addPeers } from './verbs/peers.ts'
import { addPublish } from './verbs/publish.ts'
import { addQuery } from './verbs/query.ts'
import { addReplay } from './verbs/replay.ts'
import { addStatus } from './verbs/status.ts'
import { addSubscribe } from './verbs/subscribe.ts'
import { addUp } from './verbs/up.ts'

const collect = (value: string, previous: string[] = []): string[] => [...previous, value]

const program = new Command('skein')
  .description('A brokerless telemetry mesh: acknowledged readings are on disk on several peers.')
  .option('-c, --config <file>', 'configuration (default: skein.yaml here, if there is one)')
  .option('--data <dir>', 'where data is kept (default: ./.skein)')
  .option(
    '--seed <endpoint>',
    'a peer to begin with, e.g. tcp://127.0.0.1:7701; may be repeated',
    collect,
  )
  .option('--set <key=value>', 'override any configuration key; may be repeated', collect)
  .option('--json', 'print JSON')
  .showHelpAfterError()
  .exitOverride()
  .configureHelp({ showGlobalOptions: true })

for (const add of [addUp, addPublish, addSubscribe, addQuery, addReplay, addPeers, addStatus]) {
  add(program)
}
addConfig(program)
addNode(program)

endQuietlyOnEpipe()
try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError)
    process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage
  else process.exitCode = reportError(error, process.argv.includes('--json'))
}
