// `skein query latest|range|downsample`: rows on stdout, what the answer covers on stderr.
import { Option, type Command } from 'commander'
import { openAsking } from '../../nodes/index.ts'
import {
  AGGREGATES,
  parseQuery,
  QUERY_KINDS,
  rowJson,
  type Answer,
  type BucketRow,
  type Coverage,
  type Row,
} from '../../storage/index.ts'
import { systemClock } from '../../mesh/index.ts'
import { contextOf, findMesh, wantsJson } from '../context.ts'
import { describeCoverage } from '../format/coverage.ts'
import { rowTable } from '../format/rows.ts'
import { note, printJson, printLine, warn } from '../output.ts'

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

const collect = (value: string, previous: string[] = []): string[] => [...previous, value]

export function addQuery(program: Command): void {
  const query = program.command('query').description('ask the storage peers')
  for (const kind of QUERY_KINDS) {
    const verb = query
      .command(kind)
      .description(DESCRIPTIONS[kind])
      .requiredOption('-s, --stream <stream>', 'the stream to read')
      .option('--source <a,b>', 'only these sources')
      .option('--from <time>', 'not before: 2025-07-06T12:00:00Z, -5m, now-1h, epoch ms or µs')
      .option('--fields <f,g>', 'only these fields')
      .option('--where <condition>', 'e.g. "speed > 80"; may be repeated', collect)
      .option('--limit <n>', 'at most so many rows')
    if (kind !== 'latest') {
      verb.option('--to <time>', 'before this time (default: now)')
      verb.addOption(new Option('--order <order>', 'by time').choices(['asc', 'desc']))
    }
    if (kind === 'downsample') {
      verb.requiredOption('--every <duration>', 'length of a bucket: 10s, 1m, 1h')
      verb.option('--agg <a,b>', `of ${AGGREGATES.join(', ')} (default: avg)`)
      verb.addOption(new Option('--by <what>', 'a row per').choices(['source', 'stream']))
    }
    verb.action((flags: QueryFlags, command: Command) => run(kind, flags, command))
  }
}

const DESCRIPTIONS = {
  latest: 'the newest sample of each source, by event time',
  range: 'all samples of a range of time',
  downsample: 'aggregates over buckets of time',
}

async function run(kind: string, flags: QueryFlags, command: Command): Promise<void> {
  // Checked before anything is opened: a slip of the pen needs no mesh to be told.
  const query = parseQuery(queryOf(kind, flags), systemClock.nowUs())
  const { config } = findMesh(command, contextOf(command))
  await using asking = await openAsking(config, { onWarning: warn })
  const abort = new AbortController()
  const stop = (): void => abort.abort()
  process.once('SIGINT', stop)
  const answer = await asking.asker.ask(query, abort.signal)
  if (wantsJson(command)) await printNdjson(answer)
  else await printTable(answer)
  process.removeListener('SIGINT', stop)
}

/** One row per line, then the coverage: bounded memory however long the answer. */
async function printNdjson({ rows, coverage }: Answer<Row | BucketRow>): Promise<void> {
  for await (const row of rows) {
    if (!process.stdout.write(`${rowJson(row)}\n`)) {
      await new Promise<void>((resolve) => process.stdout.once('drain', resolve))
    }
  }
  printJson({ coverage: await coverage })
}

async function printTable({ rows, coverage }: Answer<Row | BucketRow>): Promise<void> {
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
  tell(await coverage, count)
}

function tell(coverage: Coverage, rows: number): void {
  for (const line of describeCoverage(coverage, rows)) note(line)
}

function queryOf(kind: string, flags: QueryFlags): Record<string, unknown> {
  const { stream, source, fields, agg, where, limit, ...rest } = flags
  const list = (text: string | undefined): string[] | undefined =>
    text?.split(',').map((part) => part.trim())
  const query: Record<string, unknown> = {
    ...{ kind, stream, sources: list(source), fields: list(fields), aggregates: list(agg) },
    ...{ where: where?.map(condition), limit: limit === undefined ? undefined : Number(limit) },
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

/** `speed > 80`, `state = "moving"`. What it cannot take apart is left for the query's own message. */
function condition(text: string): { field: string; op: string; value: unknown } {
  const parts = /^\s*(.+?)\s*(!=|<=|>=|=|<|>)\s*(.*?)\s*$/.exec(text)
  const [, field = text, op = '?', written = ''] = parts ?? []
  const quoted = /^"(.*)"$|^'(.*)'$/.exec(written)
  if (quoted !== null) return { field, op, value: quoted[1] ?? quoted[2] }
  if (written === 'true' || written === 'false') return { field, op, value: written === 'true' }
  const number = Number(written)
  return { field, op, value: written !== '' && !Number.isNaN(number) ? number : written }
}
