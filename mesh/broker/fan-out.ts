// Which subscriptions of this process a message goes to, for brokers whose readers do not match
// patterns themselves.
import { topicMatches } from '../topic.ts'
import type { Message } from '../transport.ts'
import type { HandlerQueue } from './handler-queue.ts'

/** Topics whose queues are remembered; telemetry has 64 shards times some tens of streams. */
const ROUTES_MAX = 16_384

interface Entry {
  readonly pattern: string
  readonly queue: HandlerQueue
}

export class FanOut {
  private readonly entries = new Set<Entry>()
  private readonly routes = new Map<string, readonly HandlerQueue[]>()

  /** Returns how to take it away again. */
  add(pattern: string, queue: HandlerQueue): () => void {
    const entry = { pattern, queue }
    this.entries.add(entry)
    this.routes.clear()
    return () => {
      if (this.entries.delete(entry)) this.routes.clear()
    }
  }

  patterns(): string[] {
    return [...this.entries].map(({ pattern }) => pattern)
  }

  push(message: Message): void {
    for (const queue of this.routes.get(message.topic) ?? this.findRoute(message.topic)) {
      queue.push(message)
    }
  }

  private findRoute(topic: string): readonly HandlerQueue[] {
    const matching = [...this.entries].filter(({ pattern }) => topicMatches(pattern, topic))
    const route = matching.map(({ queue }) => queue)
    if (this.routes.size >= ROUTES_MAX) this.routes.clear()
    this.routes.set(topic, route)
    return route
  }
}
