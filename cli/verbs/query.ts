// `skein query latest|range|downsample`: rows on stdout, what the answer covers on stderr.
import { once } from 'node:events'
import { Option, type Command } from 'commander'
import { openAsking } from '../../nodes/index.ts'
import {
  AGGREGATES,
  parseQuery,
  QUERY_KINDS,
  rowJson,
  type Answer,
  type Asker,
  type BucketRow,
  type Query,
  type Row,
} from '../../storage/index.ts'
import { nearestName, systemClock } from '../../mesh/index.ts'
import { streamName } from '../stream-name.ts'
import { collect, contextOf, findMesh, wantsJson } from '../context.ts'
import { describeCoverage } from '../format/coverage.ts'
import { rowTable } from '../format/rows.ts'
import { note, printJson, printLine, UsageError, warner, wholeNumber } from '../output.ts'

interface QueryFlags {
  readonly stream: string
  readonly source?: string
  readonly from?: string
  readonly to?: string
  readonly every?: string
  readonly agg?: string
  readonly fields?: string
  readonly where?: string[]
  readonly by?: string
  readonly limit?: string
  readonly order?: string
}

/** Rows shown on a terminal before it says how to get all. */
const TABLE_ROWS_MAX = 1000

export function addQuery(program: Command): void {
  const query = program
    .command('query')
    .description('ask the storage peers')
    .addHelpText('after', AFTER_HELP)
  for (const kind of QUERY_KINDS) {
    const verb = query
      .command(kind)
      .description(DESCRIPTIONS[kind])
      .requiredOption('-s, --stream <stream>', 'the stream to read (required)')
      .option('--source <a,b>', 'only these sources')
      .option('--from <time>', 'not before: 2025-07-06T12:00:00Z, -5m, now-1h, epoch ms or µs')
      .option('--fields <f,g>', 'only these fields')
      .option('--where <condition>', 'e.g. "speed > 80"; may be repeated', collect)
      .option('--limit <n>', `at most so many rows (a table shows ${TABLE_ROWS_MAX}, --json all)`)
    if (kind !== 'latest') {
      verb.option('--to <time>', 'before this time (default: now)')
      verb.addOption(
        new Option('--order <order>', 'by time').choices(['asc', 'desc']).default('asc', 'asc'),
      )
    }
    if (kind === 'downsample') {
      verb.requiredOption('--every <duration>', 'length of a bucket: 10s, 1m, 1h (required)')
      verb.option('--agg <a,b>', `of ${AGGREGATES.join(', ')} (default: avg)`)
      verb.addOption(
        new Option('--by <what>', 'a row per')
          .choices(['source', 'stream'])
          .default('source', 'source'),
      )
    }
    verb.addHelpText('after', EXAMPLES[kind])
    verb.action((flags: QueryFlags, command: Command) => run(kind, flags, command))
  }
}

const DESCRIPTIONS = {
  latest: 'the newest sample of each source, by event time',
  range: 'all samples of a range of time',
  downsample: 'aggregates over buckets of time',
}

const EXAMPLES = {
  latest: `
Example:
  skein query latest -s vehicle.motion --source VH001,VH002 --fields speed`,
  range: `
Example:
  skein query range -s vehicle.motion --from -5m --where "speed > 50" --limit 20`,
  downsample: `
Example:
  skein query downsample -s vehicle.motion --from -1h --every 1m --fields speed`,
}

const AFTER_HELP = `
Rows go to stdout, one JSON object a line with --json; a table shows the first
${TABLE_ROWS_MAX}. What the answer covers, and whether it is complete, is said after them:
on stderr, or as the last line of the JSON.`

async function run(kind: string, flags: QueryFlags, command: Command): Promise<void> {
  streamName(flags.stream)
  // Checked before anything is opened: a slip of the pen needs no mesh to be told.
  const query = parseQuery(queryOf(kind, flags), systemClock.nowUs())
  const { config } = findMesh(command, contextOf(command))
  const json = wantsJson(command)
  const abort = new AbortController()
  process.once('SIGINT', () => abort.abort())
  await using asking = await openAsking(config, { onWarning: warner(json) })
  const answer = await asking.asker.ask(query, abort.signal)
  if (json) {
    await printNdjson(answer)
    return
  }
  const rows = await printTable(answer)
  for (const line of describeCoverage(await answer.coverage, rows)) note(line)
  if (rows === 0) await explainNothing(asking.asker, query, abort.signal)
}

/** A field that no sample has is a slip that looks like an empty answer. */
async function explainNothing(
  asker: Pick<Asker, 'streams'>,
  { stream, fields = [], where }: Query,
  signal: AbortSignal,
): Promise<void> {
  const streams = await asker.streams(signal).catch(() => [])
  const known = streams.find((each) => each.stream === stream)?.fields.map(({ name }) => name)
  if (known === undefined) return
  const asked = [...fields, ...where.map(({ field }) => field)]
  for (const field of asked.filter((name) => !known.includes(name))) {
    const near = nearestName(field, known)
    const meant = near === undefined ? `it has ${known.join(', ')}` : `did you mean ${near}?`
    note(`  no sample of ${stream} has a field ${field}: ${meant}`)
  }
}

/** One row per line, then the coverage: bounded memory however long the answer. */
async function printNdjson({ rows, coverage }: Answer<Row | BucketRow>): Promise<void> {
  for await (const row of rows) {
    if (!process.stdout.write(`${rowJson(row)}\n`)) await once(process.stdout, 'drain')
  }
  printJson({ coverage: await coverage })
}

/** Returns how many rows there were. */
async function printTable({ rows }: Answer<Row | BucketRow>): Promise<number> {
  const shown: (Row | BucketRow)[] = []
  let count = 0
  for await (const row of rows) {
    count += 1
    if (shown.length < TABLE_ROWS_MAX) shown.push(row)
  }
  for (const line of rowTable(shown)) printLine(line)
  if (count > shown.length) {
    note(`… ${count - shown.length} more rows: use --limit, a shorter range, or --json`)
  }
  return count
}

function queryOf(kind: string, flags: QueryFlags): Record<string, unknown> {
  const { stream, source, fields, agg, where, limit, ...rest } = flags
  const list = (text: string | undefined): string[] | undefined =>
    text?.split(',').map((part) => part.trim())
  const query: Record<string, unknown> = {
    kind,
    stream,
    sources: list(source),
    fields: list(fields),
    aggregates: list(agg),
    where: where?.map(condition),
    limit: limit === undefined ? undefined : wholeNumber('--limit', limit),
    ...rest,
    from: timeOf(rest.from),
    to: timeOf(rest.to),
  }
  return Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined))
}

/** Digits alone are an epoch time, everything else is text for the query to read. */
function timeOf(text: string | undefined): string | number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : text
}

/** `speed > 80`, `state = "moving"`. @throws UsageError for what cannot be taken apart. */
function condition(text: string): { field: string; op: string; value: unknown } {
  // No operator in the field, and none at the begin of the value: `speed == 80` is a slip.
  const parts = /^\s*([^=<>]+?)\s*(!=|<=|>=|=|<|>)\s*(?![=<>])(\S|\S.*\S)\s*$/.exec(text)
  if (parts === null) {
    throw new UsageError(
      `--where ${JSON.stringify(text)} is no condition; expected field, one of = != < <= > >=, value, ` +
        'as in "speed > 80"',
    )
  }
  const [field, op, written] = parts.slice(1) as [string, string, string]
  const quoted = /^"(.*)"$|^'(.*)'$/.exec(written)
  if (quoted !== null) return { field, op, value: quoted[1] ?? quoted[2] }
  if (written === 'true' || written === 'false') return { field, op, value: written === 'true' }
  const number = Number(written)
  return { field, op, value: Number.isNaN(number) ? written : number }
}
