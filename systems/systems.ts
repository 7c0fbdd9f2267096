// `npm run systems`: installs, starts and stops real Kafka, NATS and Zenoh on this machine.
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { startByHand, statusOfAll, stopByHand, type Status } from './by-hand.ts'
import type { Claim } from './claim.ts'
import { SystemError } from './errors.ts'
import { install, installCommand, isInstalled } from './install.ts'
import { SYSTEM_NAMES, type SystemName } from './system.ts'
import { SYSTEMS } from './systems-by-name.ts'

const PORT_MAX = 65_535
const EXIT_FAILED = 1
const EXIT_USAGE = 2

const program = new Command('systems')
  .usage('-- [command]')
  .description('Real Kafka, NATS and Zenoh on this machine, for tests and first steps.')
  .helpCommand(false)
  .exitOverride()

program
  .command('install')
  .description('build or fetch a system into the cache folder')
  .addArgument(new Argument('<name>', 'the system').choices([...SYSTEM_NAMES, 'all']))
  .option('--quiet', 'print no lines of the tools')
  .action(installNamed)

program
  .command('start')
  .description('start a system on loopback and leave it running')
  .addArgument(named())
  .option('--data <dir>', 'where its data is kept (default: in the cache folder)')
  .addOption(portOption('--port <n>', 'where clients connect (default: a free port)'))
  .addOption(portOption('--peer-port <n>', "Kafka's controller, other Zenoh bridges"))
  .action(startNamed)

program.command('stop').description('stop it').addArgument(named()).action(stopNamed)

program
  .command('status')
  .description('what is installed and what runs')
  .action(() => {
    for (const status of statusOfAll()) console.log(described(status))
  })

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = exitCodeOf(error)
}

async function installNamed(name: SystemName | 'all', { quiet = false }): Promise<void> {
  const names = name === 'all' ? SYSTEM_NAMES : [name]
  const failures: unknown[] = []
  for (const each of names) {
    const { title, version } = SYSTEMS[each]
    if (isInstalled(each)) {
      console.log(`${title} ${version} is installed`)
      continue
    }
    console.log(`installing ${title} ${version}`)
    const startedMs = performance.now()
    try {
      const onLine = (line: string): void => console.log(`  ${line}`)
      const path = await install(each, quiet ? {} : { onLine })
      const seconds = Math.round((performance.now() - startedMs) / 1000)
      console.log(`installed ${title} ${version} in ${seconds} s: ${path}`)
    } catch (error) {
      // The others do not depend on it.
      failures.push(error)
      if (names.length > 1) printError(error)
    }
  }
  if (failures.length === 0) return
  if (names.length === 1) throw failures[0]
  process.exitCode = EXIT_FAILED
}

interface StartFlags {
  readonly data?: string
  readonly port?: number
  readonly peerPort?: number
}

async function startNamed(name: SystemName, { data, port, peerPort }: StartFlags): Promise<void> {
  const broken = new AbortController()
  const breakOff = (): void => {
    broken.abort(
      new SystemError('SYSTEM_START_FAILED', `${name} was broken off before it answered`),
    )
  }
  process.once('SIGINT', breakOff)
  process.once('SIGTERM', breakOff)
  const claim = await startByHand(name, {
    ...(data !== undefined && { dataPath: data }),
    ...(port !== undefined && { port }),
    ...(peerPort !== undefined && { peerPort }),
    signal: broken.signal,
  })
  console.log(`${name} ${claim.version} ${where(claim)}`)
  console.log(`stop it: npm run systems -- stop ${name}`)
}

async function stopNamed(name: SystemName): Promise<void> {
  const stopped = await stopByHand(name)
  console.log(stopped === undefined ? `${name} was not running` : `stopped ${name}`)
}

function described({ name, version, isInstalled: isThere, running, died }: Status): string {
  const head = `${name.padEnd(6)} ${version.padEnd(7)} `
  if (running !== undefined) return head + where(running)
  if (died !== undefined) {
    return `${head}ended by itself (it was pid ${died.pid}); its log is in ${died.dataPath}`
  }
  return head + (isThere ? 'installed, not running' : `not installed: ${installCommand(name)}`)
}

function where({ address, zenohAddress, pid, dataPath }: Claim): string {
  if (address === undefined) return `is being started (by pid ${pid})`
  const peers = zenohAddress === undefined ? '' : `, other bridges at ${zenohAddress}`
  return `runs at ${address}${peers} (pid ${pid}, data in ${dataPath})`
}

function named(): Argument {
  return new Argument('<name>', 'the system').choices(SYSTEM_NAMES)
}

function portOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text) => {
    const port = Number(text)
    if (Number.isInteger(port) && port >= 1 && port <= PORT_MAX) return port
    throw new InvalidArgumentError(`a port is a whole number from 1 to ${PORT_MAX}`)
  })
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE
  printError(error)
  return EXIT_FAILED
}

function printError(error: unknown): void {
  const code = error instanceof SystemError ? error.code : 'SYSTEM_FAILED'
  console.error(`${code}: ${error instanceof Error ? error.message : String(error)}`)
}
