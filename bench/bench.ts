// `npm run bench -- <scenario> [options]`: measures, draws a table, leaves a result and a page.
import { Command } from 'commander'
import { BenchError } from './errors.ts'
import { scenarioCommand, type Options } from './options.ts'
import { describeMachine } from './measure/machine.ts'
import { SystemError } from '../systems/index.ts'
import { compareResults } from './report/compare.ts'
import { useRecording } from './recording.ts'
import { readResult, writeResult } from './report/files.ts'
import type { Report } from './report/report.ts'
import { drawReport } from './report/terminal.ts'
import type { Result } from './result.ts'
import { Runner } from './run/runner.ts'
import { SCENARIOS } from './scenarios/index.ts'
import type { Scenario } from './scenarios/scenario.ts'
import { BENCH_SYSTEMS } from './systems/index.ts'

const WIDTH = 100

async function measure(scenario: Scenario, options: Options): Promise<void> {
  const startedAt = new Date()
  const say = (line: string): void => void process.stderr.write(`${line}\n`)
  const interrupted = new AbortController()
  const interrupt = (): void => {
    say('interrupted: finishing the run under way, then what was measured is kept')
    interrupted.abort(new BenchError('BENCH_INTERRUPTED', 'interrupted'))
  }
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt)
  const machine = await describeMachine()
  const { recording } = options
  await using used = recording && (await useRecording(recording.file, recording.mapping))
  await using runner = new Runner({ say, seed: options.seed, signal: interrupted.signal })
  const systems = [
    'skein' as const,
    ...options.against.filter((name) => {
      const missing = BENCH_SYSTEMS[name].missing()
      if (missing !== undefined) runner.notes.push(`without ${name}: ${missing}`)
      return missing === undefined
    }),
  ]
  if (used !== undefined) runner.notes.push(used.note)
  runner.notes.forEach(say)
  const context = { options, runner, systems }
  const failure = await scenario.measure(context).then(
    () => undefined,
    (error: Error) => error,
  )
  if (failure !== undefined && runner.runs.length === 0) throw failure
  if (failure !== undefined) runner.notes.push(`not complete: ${failure.message}`)
  const result: Result = {
    version: 1,
    scenario: scenario.name,
    command: `npm run bench -- ${process.argv.slice(2).join(' ')}`,
    startedAt: startedAt.toISOString(),
    finishedAt: new Date().toISOString(),
    isComplete: failure === undefined,
    notes: runner.notes,
    machine,
    versions: runner.versions,
    configurations: runner.configurations,
    seed: options.seed,
    runs: runner.runs,
    natives: runner.natives,
    report: scenario.report(context),
  }
  const { json, html } = await writeResult(result, options.out)
  say('')
  if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`)
  else print(result.report)
  say(`\n${json}\n${html}`)
  if (failure === undefined) return
  say(failure instanceof BenchError ? failure.message : (failure.stack ?? failure.message))
  process.exitCode = 1
}

function print(report: Report): void {
  process.stdout.write(`${drawReport(report, process.stdout.columns ?? WIDTH)}\n`)
}

// What is measured is Skein as the bench sets it, not as this shell does.
for (const name of Object.keys(process.env)) if (name.startsWith('SKEIN_')) delete process.env[name]

const program = new Command('bench').description('Skein beside other systems, on this machine.')
for (const scenario of SCENARIOS) {
  program.addCommand(
    scenarioCommand(scenario.name, scenario.question, (options) => measure(scenario, options)),
  )
}
program
  .command('smoke')
  .description('Is a mesh on this machine about as fast as it should be?')
  .option('--json', 'one line of JSON', false)
  .action(async (options: { json: boolean }) => (await import('./smoke.ts')).run(options))

program
  .command('compare')
  .description('What is different in the second result?')
  .argument('<first>', 'a result of the bench, .json')
  .argument('<second>', 'another one, of the same scenario')
  .option('--force', 'compare results of different machines too', false)
  .action(async (first: string, second: string, options: { force: boolean }) => {
    const results = await Promise.all([readResult(first), readResult(second)])
    print(compareResults(...results, options))
  })

try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof BenchError || error instanceof SystemError)) throw error
  process.stderr.write(`${error.code}: ${error.message}\n`)
  process.exitCode = 1
}
