// The HTTP server of a peer. Every peer answers queries for the whole mesh; storage peers also serve
// other stores under /v1/peer/. Whoever starts it passes in what it stands on; it knows of no disk,
// transport or configuration.
import type { Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { messageOf } from '../errors.ts'
import type { StorePeer } from '../query/peer.ts'
import { HttpError, toErrorAnswer } from './http-errors.ts'
import { addPeerRoutes } from './peer-routes.ts'
import { addPublicRoutes, type PublicRoutesOptions } from './public-routes.ts'

export interface PeerServerOptions extends PublicRoutesOptions {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  /** This process's store, when it has one. */
  readonly peer?: StorePeer | undefined
  /** Routes of the node that starts it, such as a gateway's. */
  readonly addRoutes?: (app: FastifyInstance) => void
}

export interface PeerServer extends AsyncDisposable {
  /** Base URL, with the port that was bound. */
  readonly url: string
  readonly port: number
  /** Serves a connection that came by another way than its port. */
  accept(connection: Duplex): void
  /** Stops listening and ends what is being answered. */
  close(): Promise<void>
}

/** Resolves once it listens. @throws whatever listen throws, EADDRINUSE for one. */
export async function createPeerServer(options: PeerServerOptions): Promise<PeerServer> {
  // Only here: it takes every program that merely asks 40 ms to load.
  const { fastify } = await import('fastify')
  const app = fastify({
    forceCloseConnections: true,
    // A long header or URL is nobody's query.
    routerOptions: { maxParamLength: 200 },
  })
  acceptJson(app)
  app.setErrorHandler(async (error, _request, reply) => {
    const { status, body } = toErrorAnswer(error)
    return reply.code(status).send(body)
  })
  app.setNotFoundHandler(async ({ method, url }) => {
    throw new HttpError(404, 'HTTP_NOT_FOUND', `there is no ${method} ${url} (docs/http-api.md)`)
  })
  addPublicRoutes(app, options)
  if (options.peer !== undefined) addPeerRoutes(app, options.peer, options.clock)
  options.addRoutes?.(app)
  await app.listen({ host: options.host, port: options.port })
  const { port } = app.server.address() as { port: number }
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  const close = async (): Promise<void> => {
    await app.close()
  }
  const accept = (connection: Duplex): void => void app.server.emit('connection', connection)
  return { url: `http://${host}:${port}`, port, accept, close, [Symbol.asyncDispose]: close }
}

/** Any body is read as JSON, whatever its type says: `curl -d` says something else. */
function acceptJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, JSON.parse(body as string))
    } catch (error) {
      done(new HttpError(400, 'HTTP_BAD_JSON', `the body is not JSON: ${messageOf(error)}`))
    }
  })
}
