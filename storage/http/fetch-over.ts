// fetch() over streams of a transport instead of TCP: for peers that no address leads to. Each request
// has its own stream.
import { Agent, request } from 'node:http'
import { Readable, type Duplex } from 'node:stream'

/** What is used of fetch(). */
export type Fetch = (url: string, init?: RequestInit) => Promise<Response>

/** `connect` opens a stream to the host of a URL such as `hyperswarm://<key>/v1/query`. */
export function fetchOver(connect: (endpoint: string) => Promise<Duplex>): Fetch {
  return async (url, init = {}) => {
    const { protocol, host, pathname, search } = new URL(url)
    const stream = await connect(`${protocol}//${host}`)
    const agent = new Agent()
    agent.createConnection = () => stream
    const { promise, resolve, reject } = Promise.withResolvers<Response>()
    const { method = 'GET', headers, body, signal } = init
    const sent = request(
      {
        agent,
        method,
        path: pathname + search,
        headers: { host, ...(headers as Record<string, string>) },
        ...(signal && { signal }),
      },
      (answer) => {
        const { statusCode = 0 } = answer
        const names = Object.entries(answer.headers).map(([name, value]) => [name, String(value)])
        const isEmpty = [204, 304].includes(statusCode)
        const text = isEmpty ? null : (Readable.toWeb(answer) as ReadableStream<Uint8Array>)
        resolve(new Response(text, { status: statusCode, headers: names as [string, string][] }))
      },
    )
    sent.once('error', reject)
    sent.end(body as string | undefined)
    return await promise
  }
}
