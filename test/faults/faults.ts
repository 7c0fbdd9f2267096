// `npm run faults`: every fault, on real storage peers, and a table of what became of what they had
// acknowledged. `npm run faults -- kill bit-flip`: those only. With --report the table goes to
// docs/durability.md too. Exit code 1 when anything is lost, wrong or repeated, or a fault did not happen.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { nearestName } from '../../mesh/index.ts'
import { FAULTS } from './all-faults.ts'
import type { Fault } from './fault.ts'
import { isGood, line, table, withTable, type Result } from './report.ts'

const DOCUMENT = join(import.meta.dirname, '../../docs/durability.md')

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    report: { type: 'boolean', default: false },
    kills: { type: 'string', default: '100' },
    seed: { type: 'string', default: '20261122' },
  },
})
const kills = positive('--kills', values.kills)
const seed = positive('--seed', values.seed)
const names = FAULTS.map(({ name }) => name)
for (const name of positionals) {
  if (names.includes(name)) continue
  const near = nearestName(name, names)
  fail(
    `${name} is no fault${near === undefined ? '' : `; did you mean ${near}?`} (${names.join(', ')})`,
  )
}
if (values.report && positionals.length > 0) fail('--report is for all faults at once')

const results: Result[] = []
for (const fault of FAULTS) {
  if (positionals.length > 0 && !positionals.includes(fault.name)) continue
  const result = await tryOut(fault)
  results.push(result)
  console.log(line(result))
}
const lines = table(results)
console.log(`\n${lines.join('\n')}`)
if (values.report) writeFileSync(DOCUMENT, withTable(readFileSync(DOCUMENT, 'utf8'), lines))
process.exitCode = results.every(isGood) ? 0 : 1

async function tryOut(fault: Fault): Promise<Result> {
  const skipped = fault.unavailable?.()
  if (skipped !== undefined) return { fault, skipped }
  try {
    const runs = fault.name === 'kill' ? kills : fault.runs
    return { fault, outcome: await fault.run({ seed, runs }) }
  } catch (error) {
    return { fault, error: (error as Error).message }
  }
}

function positive(flag: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) fail(`${flag} ${text} is not a number from 1 on`)
  return value
}

function fail(message: string): never {
  console.error(message)
  process.exit(2)
}
