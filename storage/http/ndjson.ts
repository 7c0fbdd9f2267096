// Lines of JSON over HTTP: written in pieces of a fair size, read back line by line. An empty line is
// a sign of life while the next one is worked out.
import type { Clock } from '../../mesh/index.ts'

/** Pieces of about this size: small enough to be prompt, large enough to cost little per line. */
const PIECE_CHARS = 256 * 1024

/** Joins lines into pieces; what has gathered goes out when it is large enough or nothing more comes. */
export async function* inPieces(texts: AsyncIterable<string>): AsyncGenerator<string> {
  let piece = ''
  for await (const text of texts) {
    piece += text
    if (piece.length < PIECE_CHARS) continue
    yield piece
    piece = ''
  }
  if (piece !== '') yield piece
}

/** Puts an empty line in wherever nothing has come for `everyMs`. */
export async function* withHeartbeat(
  lines: AsyncGenerator<string>,
  clock: Clock,
  everyMs: number,
): AsyncGenerator<string> {
  try {
    let next = lines.next()
    for (;;) {
      const silence = Promise.withResolvers<undefined>()
      const timer = clock.startTimer(everyMs, () => silence.resolve(undefined))
      const result = await Promise.race([next, silence.promise]).finally(() => timer.cancel())
      if (result === undefined) {
        yield '\n'
        continue
      }
      if (result.done === true) return
      yield result.value
      next = lines.next()
    }
  } finally {
    await lines.return(undefined)
  }
}

/** The lines of a body, without the empty ones. @throws Error when it ends within a line. */
export async function* readLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let text = ''
  for await (const chunk of chunks) {
    text += decoder.decode(chunk, { stream: true })
    let begin = 0
    for (;;) {
      const end = text.indexOf('\n', begin)
      if (end < 0) break
      if (end > begin) yield text.slice(begin, end)
      begin = end + 1
    }
    text = text.slice(begin)
  }
  if (text !== '') throw new Error('the answer ends within a line')
}
