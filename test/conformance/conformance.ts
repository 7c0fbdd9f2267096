// `npm run conformance -- --all`: every transport through the transport suite and the contract suite, on the
// real systems, and one table of what passed and what was skipped and why. With --all the table goes to
// docs/conformance.md too. `npm run conformance -- zeromq nats`: those only. `--report FILE`: nothing is run,
// the table is made from vitest's JSON report of a run of all tests.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { nearestName, TRANSPORTS } from '../../mesh/index.ts'
import { countsOf, markdown, rowsOf, textTable, type JsonReport } from './report.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const DOCUMENT = join(ROOT, 'docs', 'conformance.md')
const HEAD = `# Conformance

Made by \`npm run conformance -- --all\`; do not edit. Each transport runs the same two suites: the transport suite (\`mesh/conformance/\`: what a transport must do) and the contract suite (\`test/contract/\`: publishers, three storage peers, a live subscriber and queries, with a fault in the middle). Kafka, NATS and the Zenoh bridge are the real programs (\`npm run systems\`).

After each fault the contract suite checks: everything accepted is stored, each sample once, in order within source, stream and epoch, coverage complete, every receipt against the disks of the stores it names, the live subscriber at most once, in order and told of what it missed, memory of stores and publishers below 512 MiB each. Each case asserts that its fault happened. \`test/contract/planted.test.ts\` switches the dropping of duplicates, and repair, off on purpose and requires the suite to fail.

A case is skipped only where what it needs does not exist; the reasons are listed at the end. Cutting the wire needs root and network namespaces: without them those cases are skipped too, except where the systems are required (this table, CI), where they fail. On \`memory\` a storage peer is a part of the test's process and cannot be killed: it falls silent in the middle of what it says, then it is closed.`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { all: { type: 'boolean', default: false }, report: { type: 'string' } },
})
const names = values.all ? [...TRANSPORTS] : positionals
for (const name of names) {
  if ((TRANSPORTS as readonly string[]).includes(name)) continue
  const near = nearestName(name, TRANSPORTS)
  fail(`${name} is no transport${near === undefined ? '' : `; did you mean ${near}?`}`)
}
if (names.length === 0) fail(`which transports? --all, or some of ${TRANSPORTS.join(', ')}`)

const scratch = mkdtempSync(join(tmpdir(), 'skein-conformance-'))
try {
  const report =
    values.report === undefined
      ? await run(names, join(scratch, 'report.json'))
      : (JSON.parse(readFileSync(values.report, 'utf8')) as JsonReport)
  const rows = rowsOf(report)
  for (const line of textTable(rows)) console.log(line)
  const files = filesOf(names)
  const broken = report.testResults.filter(({ name, status, assertionResults }) => {
    if (!files.some((file) => name.endsWith(file))) return false
    return status === 'failed' && !assertionResults.some((result) => result.status === 'failed')
  })
  for (const { name, message } of broken) console.error(`${name} could not be run: ${message}`)
  const { passed, failed, skipped } = countsOf(rows)
  console.log(`\n${passed} passed, ${skipped} skipped, ${failed + broken.length} failed`)
  if (values.all) writeFileSync(DOCUMENT, `${[HEAD, ...markdown(rows)].join('\n')}\n`)
  process.exitCode = failed + broken.length > 0 || passed === 0 ? 1 : 0
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

async function run(transports: readonly string[], output: string): Promise<JsonReport> {
  const words = [
    'run',
    ...filesOf(transports),
    '--retry=1',
    '--reporter=default',
    '--reporter=json',
  ]
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs')
  const child = spawn(process.execPath, [vitest, ...words, `--outputFile.json=${output}`], {
    cwd: ROOT,
    // Without the real systems there is nothing to show.
    env: { ...process.env, SKEIN_REQUIRE_SYSTEMS: '1' },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  await once(child, 'exit')
  return JSON.parse(readFileSync(output, 'utf8')) as JsonReport
}

function filesOf(transports: readonly string[]): string[] {
  return transports.flatMap((name) => [
    `mesh/transports/${name}.test.ts`,
    `test/contract/${name}.test.ts`,
  ])
}

function fail(message: string): never {
  console.error(message)
  process.exit(2)
}
