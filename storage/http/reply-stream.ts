// Streamed answers, and their end when the reader leaves.
import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { HttpError } from './http-errors.ts'

/** Aborts when the connection closes, whether we are done by then or not. */
export function closeSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  reply.raw.once('close', () => controller.abort(new Error('the client is gone')))
  return controller.signal
}

/** Sends pieces as the reader takes them; no more than one waits in memory. */
export function sendStream(
  reply: FastifyReply,
  type: string,
  pieces: AsyncGenerator<string | Buffer>,
): FastifyReply {
  const body = Readable.from(pieces, { highWaterMark: 1 })
  return reply.type(type).send(body)
}

/** So many at once, no queue: whoever comes on top is told to come back. */
export class Gate {
  private open = 0
  private readonly max: number
  private readonly what: string

  constructor(max: number, what: string) {
    this.max = max
    this.what = what
  }

  /** Takes a place until the connection closes. @throws HttpError 503 HTTP_BUSY. */
  enter(reply: FastifyReply): void {
    if (this.open >= this.max) {
      throw new HttpError(503, 'HTTP_BUSY', `${this.max} ${this.what} are being answered already`)
    }
    this.open += 1
    reply.raw.once('close', () => {
      this.open -= 1
    })
  }
}
