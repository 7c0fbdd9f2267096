// One connection to the HTTP API of a store, kept alive, as a dashboard would have it.
import { Agent, request } from 'node:http'
import type { StoreId } from '../../mesh/index.ts'

export interface Bucket {
  readonly fields: Readonly<Record<string, Readonly<Record<string, number>>>>
}

export interface Answer {
  readonly rows: readonly (Bucket & { readonly timeUs: number; readonly source: string })[]
  readonly coverage: { readonly complete: boolean; readonly reasons: readonly string[] }
}

export class PeerHttp implements Disposable {
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 1 })
  private readonly base: string

  constructor(base: string) {
    this.base = base
  }

  /** The whole answer, not parsed: what that costs is the client's. @throws when it is no 200. */
  query(query: object): Promise<Buffer> {
    return this.send('POST', '/v1/query', JSON.stringify(query))
  }

  async answer(query: object): Promise<Answer> {
    return JSON.parse((await this.query(query)).toString()) as Answer
  }

  /** Frames of a stream with sequences up to `last` that the store has. */
  async held(stream: string, last: number): Promise<number> {
    const body = JSON.stringify({ stream })
    const { lanes } = JSON.parse((await this.send('POST', '/v1/peer/digest', body)).toString()) as {
      lanes: { held: number[] }[]
    }
    let frames = 0
    for (const { held } of lanes) {
      for (let run = 0; run < held.length; run += 2) {
        frames += Math.max(0, Math.min(held[run + 1]!, last) - held[run]! + 1)
      }
    }
    return frames
  }

  /** The value of a metric; 0 for one that there is not. */
  async metric(name: string): Promise<number> {
    const text = (await this.send('GET', '/metrics')).toString()
    const line = text.split('\n').find((each) => each.startsWith(`${name} `))
    return line === undefined ? 0 : Number(line.slice(name.length + 1))
  }

  async storeId(): Promise<StoreId> {
    const health = JSON.parse((await this.send('GET', '/healthz')).toString()) as {
      storeId: StoreId
    }
    return health.storeId
  }

  /** Of the members. */
  async storeIds(): Promise<StoreId[]> {
    const { peers } = JSON.parse((await this.send('GET', '/v1/peers')).toString()) as {
      peers: { stores: { storeId: StoreId }[] }
    }
    return peers.stores.map(({ storeId }) => storeId)
  }

  [Symbol.dispose](): void {
    this.agent.destroy()
  }

  private send(method: string, path: string, body?: string): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const sent = request(`${this.base}${path}`, { method, agent: this.agent }, (answer) => {
        const parts: Buffer[] = []
        answer.on('data', (part: Buffer) => parts.push(part))
        answer.on('error', reject)
        answer.on('end', () => {
          const whole = Buffer.concat(parts)
          if (answer.statusCode === 200) resolve(whole)
          else reject(new Error(`${path}: ${answer.statusCode} ${whole.toString().slice(0, 300)}`))
        })
      })
      sent.on('error', reject)
      sent.end(body)
    })
  }
}
