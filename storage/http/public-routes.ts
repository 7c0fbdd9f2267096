// The routes for everybody (docs/http-api.md): queries, streams, peers, health, metrics.
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Clock } from '../../mesh/index.ts'
import type { Coverage } from '../coverage.ts'
import type { BucketRow } from '../query/aggregate.ts'
import type { Answer, Asker } from '../query/asker.ts'
import { parseQuery } from '../query/query.ts'
import type { Row } from '../query/row.ts'
import { toErrorAnswer } from './http-errors.ts'
import { keptRowJson, rowJson } from './json-rows.ts'
import { inPieces } from './ndjson.ts'
import { closeSignal, Gate, sendStream } from './reply-stream.ts'

/** How this process is, in words a person understands. */
export interface Health {
  /** It does not acknowledge frames, or cannot do its work otherwise: /healthz says 503. */
  readonly refusing: boolean
  /** It has joined and may be sent to: /readyz says 200. */
  readonly ready: boolean
  readonly reasons: readonly string[]
  /** Facts for whoever looks: store id, version, … */
  readonly details?: Readonly<Record<string, unknown>>
}

/** As much of prom-client's Registry as is needed. */
export interface MetricsSource {
  readonly contentType: string
  metrics(): Promise<string>
}

export interface PublicRoutesOptions {
  readonly clock: Clock
  readonly asker: Pick<Asker, 'ask' | 'streams'>
  readonly peers: () => unknown
  readonly health: () => Health | Promise<Health>
  readonly metrics?: MetricsSource | undefined
}

const QUERY_BYTES_MAX = 1024 * 1024
const QUERIES_MAX = 32
/** Rows written between two looks at whether the reader can take more. */
const ROWS_AT_ONCE = 500

export function addPublicRoutes(app: FastifyInstance, options: PublicRoutesOptions): void {
  const { clock, asker, peers, health, metrics } = options
  const queries = new Gate(QUERIES_MAX, 'queries')

  app.post('/v1/query', { bodyLimit: QUERY_BYTES_MAX }, async (request, reply) => {
    const query = parseQuery(request.body, clock.nowUs())
    queries.enter(reply)
    const answer = await asker.ask(query, closeSignal(reply))
    const toJson = query.kind === 'latest' ? keptRowJson : rowJson
    const accept = request.headers.accept ?? ''
    return /application\/(x-ndjson|jsonl)/.test(accept)
      ? sendStream(reply, 'application/x-ndjson', inPieces(answerLines(answer, toJson)))
      : sendStream(reply, 'application/json', inPieces(answerJson(answer, toJson)))
  })

  app.get('/v1/streams', async (_request, reply) => ({
    streams: await asker.streams(closeSignal(reply)),
  }))

  app.get('/v1/peers', async () => ({ peers: peers() }))

  app.get('/healthz', async (_request, reply) => {
    const { refusing, reasons, details } = await health()
    return state(reply, !refusing, { status: refusing ? 'refusing' : 'ok', reasons, ...details })
  })

  app.get('/readyz', async (_request, reply) => {
    const { ready, reasons } = await health()
    return state(reply, ready, { status: ready ? 'ready' : 'not ready', reasons })
  })

  if (metrics !== undefined) {
    app.get('/metrics', async (_request, reply) =>
      reply.type(metrics.contentType).send(await metrics.metrics()),
    )
  }
}

function state(reply: FastifyReply, isGood: boolean, body: object): FastifyReply {
  return reply.code(isGood ? 200 : 503).send(body)
}

/** One row per line; the last line is the coverage, or what went wrong on the way. */
async function* answerLines(
  answer: Answer<Row | BucketRow>,
  toJson: typeof rowJson,
): AsyncGenerator<string> {
  let coverage: Coverage
  try {
    for await (const rows of answer.batches) {
      for (let at = 0; at < rows.length; at += ROWS_AT_ONCE) {
        yield rows
          .slice(at, at + ROWS_AT_ONCE)
          .map((row) => `${toJson(row)}\n`)
          .join('')
      }
    }
    coverage = await answer.coverage
  } catch (error) {
    yield `${JSON.stringify(toErrorAnswer(error).body)}\n`
    return
  }
  yield `${JSON.stringify({ coverage })}\n`
}

/** {"rows":[…],"coverage":…}, written as it comes; an error on the way breaks it off. */
async function* answerJson(
  answer: Answer<Row | BucketRow>,
  toJson: typeof rowJson,
): AsyncGenerator<string> {
  let separator = '{"rows":['
  for await (const rows of answer.batches) {
    for (let at = 0; at < rows.length; at += ROWS_AT_ONCE) {
      yield (
        separator +
          rows
            .slice(at, at + ROWS_AT_ONCE)
            .map(toJson)
            .join(',\n')
      )
      separator = ',\n'
    }
  }
  const begin = separator === ',\n' ? '' : separator
  yield `${begin}],"coverage":${JSON.stringify(await answer.coverage)}}\n`
}
