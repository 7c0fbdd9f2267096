// Ports for processes that must come back under their old address. They are taken from below the range
// that systems give out by themselves (32768 and up on Linux), so that nobody's outgoing connection
// takes one while its process is away.
import { createServer } from 'node:net'
import { systemRandom } from '../../mesh/index.ts'

const PORT_MIN = 20_000
const PORT_MAX = 32_000

/** `tcp://127.0.0.1:port` with a port on which nothing listens. */
export async function freeEndpoint(host = '127.0.0.1'): Promise<string> {
  for (;;) {
    const port = PORT_MIN + Math.floor(systemRandom.next() * (PORT_MAX - PORT_MIN))
    if (await isFree(host, port)) return `tcp://${host}:${port}`
  }
}

function isFree(host: string, port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, host, () => server.close(() => resolve(true)))
  })
}
