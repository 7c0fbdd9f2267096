// Keeps something at Kafka going for ever: connect, do it, and when anything fails, say why, wait and
// begin anew with a new client. The writer, the reader of live messages and each consumption has its
// own, so that a trouble of one does not stop the others.
import type { Random } from '../clock.ts'
import { Backoff } from '../broker/backoff.ts'
import type { KafkaAccess } from './kafka-client.ts'
import { KafkaClient } from './kafka-client.ts'
import { KafkaTrouble } from './kafka-trouble.ts'

const FIRST_WAIT_MS = 50
const LONGEST_WAIT_MS = 2000
/** Between attempts that fail until somebody does something: credentials, settings of a topic. */
const SLOW_WAIT_MS = 3000

export interface Work {
  /** Does it until something fails; calls `works` once it does. */
  run(client: KafkaClient, works: () => void): Promise<never>
  /** It has failed; it is tried again. */
  failed(reason: string): void
  works(): void
}

export class Upkeep {
  private readonly access: KafkaAccess
  private readonly work: Work
  private readonly backoff: Backoff
  private client: KafkaClient | undefined
  private ended: Promise<void> = Promise.resolve()
  private isStopped = false

  constructor(access: KafkaAccess, random: Random, work: Work) {
    this.access = access
    this.work = work
    const { clock } = access
    this.backoff = new Backoff({ clock, random, firstMs: FIRST_WAIT_MS, mostMs: LONGEST_WAIT_MS })
  }

  start(): void {
    this.ended = this.keep()
  }

  /** Resolves when nothing of it goes on. Idempotent. */
  stop(): Promise<void> {
    this.isStopped = true
    this.backoff.stop()
    this.client?.close()
    return this.ended
  }

  private async keep(): Promise<void> {
    while (!this.isStopped) {
      const client = new KafkaClient(this.access)
      this.client = client
      try {
        await client.connect()
        await this.work.run(client, () => {
          this.backoff.reset()
          this.work.works()
        })
      } catch (error) {
        client.close()
        if (this.isStopped) return
        this.work.failed(`${wordsOf(error)}; trying again`)
        await this.backoff.wait(error instanceof KafkaTrouble && error.isSlow ? SLOW_WAIT_MS : 0)
      }
    }
  }
}

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
