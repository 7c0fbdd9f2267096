// Another store, over HTTP: the client of the routes under /v1/peer/, for askers and for repair.
// Node's fetch keeps connections alive by itself. Nothing here retries: the callers know better
// where else to turn.
import { FRAME_BYTES_MAX, type Clock, type SchemaId } from '../../mesh/index.ts'
import { StorageError } from '../errors.ts'
import type {
  DifferencesAnswer,
  DifferencesRequest,
  DigestAnswer,
  DigestRequest,
  FrameRecord,
  FramesRequest,
  ScanEvent,
  ScanRequest,
  StorePeer,
  StreamPart,
} from '../query/peer.ts'
import type { Fetch } from './fetch-over.ts'
import { readRecords } from './frame-records.ts'
import { readLines } from './ndjson.ts'
import { decodeScanLine } from './scan-lines.ts'

export interface PeerClientOptions {
  /** Base URL, `http://host:port`. */
  readonly http: string
  readonly clock: Clock
  /** Default: Node's. */
  readonly fetch?: Fetch
  /** A peer that sends nothing for this long while it is read from is given up. Default 10,000. */
  readonly silenceMs?: number
}

const SILENCE_MS = 10_000

export class PeerClient implements StorePeer {
  private readonly base: string
  private readonly clock: Clock
  private readonly fetch: Fetch
  private readonly silenceMs: number

  constructor(options: PeerClientOptions) {
    this.base = options.http.replace(/\/+$/, '')
    this.clock = options.clock
    this.fetch = options.fetch ?? fetch
    this.silenceMs = options.silenceMs ?? SILENCE_MS
  }

  async digest(request: DigestRequest, signal: AbortSignal): Promise<DigestAnswer> {
    return (await this.json('/v1/peer/digest', request, signal)) as DigestAnswer
  }

  async differences(request: DifferencesRequest, signal: AbortSignal): Promise<DifferencesAnswer> {
    return (await this.json('/v1/peer/differences', request, signal)) as DifferencesAnswer
  }

  async streams(signal: AbortSignal): Promise<readonly StreamPart[]> {
    return (await this.json('/v1/peer/streams', undefined, signal)) as readonly StreamPart[]
  }

  async *scan(request: ScanRequest, signal: AbortSignal): AsyncGenerator<ScanEvent> {
    for await (const line of readLines(this.read('/v1/peer/scan', request, signal))) {
      const event = decodeScanLine(line)
      if (event === 'end') return
      yield event
    }
    throw this.failure('the scan was cut off')
  }

  async *frames(
    request: FramesRequest,
    signal: AbortSignal,
  ): AsyncGenerator<readonly FrameRecord[], boolean> {
    return yield* readRecords(this.read('/v1/peer/frames', request, signal), FRAME_BYTES_MAX)
  }

  async schema(id: SchemaId, signal: AbortSignal): Promise<Buffer | undefined> {
    return await this.guarded(signal, async (alive) => {
      const headers = { accept: 'application/octet-stream' }
      const url = `${this.base}/v1/peer/schemas/${id}`
      const response = await this.fetch(url, { headers, signal: alive.signal })
      if (response.status === 404) {
        await response.body?.cancel()
        return undefined
      }
      await this.checkStatus(response)
      return Buffer.from(await response.arrayBuffer())
    })
  }

  private async json(path: string, body: unknown, signal: AbortSignal): Promise<unknown> {
    return await this.guarded(signal, async (alive) => {
      const response = await this.send(path, body, alive.signal)
      return await response.json()
    })
  }

  /** The body of an answer, as it comes; the silence limit runs only while we wait for the peer. */
  private async *read(
    path: string,
    body: unknown,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const alive = new Silence(this.clock, this.silenceMs, signal)
    try {
      const response = await alive.watch(this.send(path, body, alive.signal))
      const reader = response.body!.getReader()
      try {
        for (;;) {
          const { done, value } = await alive.watch(reader.read())
          if (done) return
          yield value
        }
      } finally {
        // Tells the peer to stop, when we do before it did.
        await reader.cancel().catch(() => undefined)
      }
    } catch (error) {
      signal.throwIfAborted()
      throw error instanceof StorageError ? error : this.failure(reasonOf(error), error)
    } finally {
      alive.end()
    }
  }

  private async guarded<T>(signal: AbortSignal, work: (alive: Silence) => Promise<T>): Promise<T> {
    const alive = new Silence(this.clock, this.silenceMs, signal)
    try {
      return await alive.watch(work(alive))
    } catch (error) {
      signal.throwIfAborted()
      throw error instanceof StorageError ? error : this.failure(reasonOf(error), error)
    } finally {
      alive.end()
    }
  }

  private async send(path: string, body: unknown, signal: AbortSignal): Promise<Response> {
    const response = await this.fetch(this.base + path, {
      signal,
      ...(body !== undefined && {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
    })
    await this.checkStatus(response)
    return response
  }

  private async checkStatus(response: Response): Promise<void> {
    if (response.ok) return
    const text = await response.text()
    let message = text.slice(0, 200)
    try {
      message = (JSON.parse(text) as { error: { message: string } }).error.message
    } catch {
      // Not one of ours: what it says is all there is.
    }
    throw this.failure(`status ${response.status}: ${message}`)
  }

  private failure(reason: string, cause?: unknown): StorageError {
    return new StorageError('QUERY_NO_PEER', `${this.base}: ${reason}`, { retryable: true, cause })
  }
}

/** Aborts what it watches when that takes too long, or when the caller's signal says so. */
class Silence {
  private readonly controller = new AbortController()
  private readonly clock: Clock
  private readonly limitMs: number
  private readonly outer: AbortSignal
  private readonly onAbort = (): void => this.controller.abort(this.outer.reason)

  constructor(clock: Clock, limitMs: number, outer: AbortSignal) {
    this.clock = clock
    this.limitMs = limitMs
    this.outer = outer
    if (outer.aborted) this.onAbort()
    else outer.addEventListener('abort', this.onAbort, { once: true })
  }

  get signal(): AbortSignal {
    return this.controller.signal
  }

  async watch<T>(work: Promise<T>): Promise<T> {
    const timer = this.clock.startTimer(this.limitMs, () =>
      this.controller.abort(new Error(`silent for ${this.limitMs} ms`)),
    )
    try {
      return await work
    } finally {
      timer.cancel()
    }
  }

  end(): void {
    this.outer.removeEventListener('abort', this.onAbort)
  }
}

/** fetch hides why it failed in the cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message || error.message : error.message
}
