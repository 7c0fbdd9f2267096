// For tests: stores of a test mesh, each behind a real socket.
import { systemClock } from '../../mesh/index.ts'
import { Asker } from '../query/asker.ts'
import type { Member } from '../query/peer.ts'
import { storeId, TestStore } from '../query/test-mesh.ts'
import { PeerClient } from './peer-client.ts'
import type { Health } from './public-routes.ts'
import { createPeerServer, type PeerServer } from './server.ts'

export class HttpMesh implements AsyncDisposable {
  readonly stores: TestStore[] = []
  readonly servers: PeerServer[] = []
  health: Health = { refusing: false, ready: true, reasons: [] }
  private readonly members: Member[] = []

  static async start(size: number, writeQuorum = Math.min(2, size)): Promise<HttpMesh> {
    const mesh = new HttpMesh()
    for (let i = 0; i < size; i++) {
      const store = new TestStore(storeId(i + 1), () => mesh.members)
      const asker = new Asker({
        // Each knows only the first: the others are found through its table.
        stores: () => ({ members: mesh.members.slice(0, 1), writeQuorum }),
        clock: systemClock,
        connect: (http) => new PeerClient({ http, clock: systemClock }),
        local: { storeId: store.id, peer: store.peer },
      })
      const server = await createPeerServer({
        host: '127.0.0.1',
        port: 0,
        clock: systemClock,
        asker,
        peer: store.peer,
        peers: () => mesh.members,
        health: () => mesh.health,
      })
      mesh.stores.push(store)
      mesh.servers.push(server)
      mesh.members.push({ storeId: store.id, state: 'member', http: server.url })
    }
    return mesh
  }

  /** A request to the server of one store. */
  async request(
    at: number,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    return await fetch(this.servers[at]!.url + path, {
      headers,
      ...(body !== undefined && {
        method: 'POST',
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.servers.map((server) => server.close()))
  }
}
