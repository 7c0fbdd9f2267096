// The subscriptions of this process: which handlers a topic goes to, and what of them is announced.
import { checkPattern, checkTopic, topicMatches } from '../topic.ts'
import type { BatchHandler, Message, SubscriptionScope, TransportCounters } from '../transport.ts'

/** Topics whose handlers are remembered; telemetry has 64 shards times some tens of streams. */
const ROUTES_MAX = 16_384

class LocalSubscription {
  readonly pattern: string
  readonly scope: SubscriptionScope
  readonly onBatch: BatchHandler
  /** Gathers one delivery. */
  batch: Message[] = []
  closed = false

  constructor(pattern: string, scope: SubscriptionScope, onBatch: BatchHandler) {
    this.pattern = pattern
    this.scope = scope
    this.onBatch = onBatch
  }
}

interface Route {
  readonly all: readonly LocalSubscription[]
  /** Directed messages reach every matching subscription. */
  readonly any: readonly LocalSubscription[]
}

const NO_ROUTE: Route = { all: [], any: [] }

export class LocalSubscriptions {
  private readonly counters: TransportCounters
  private readonly subscriptions = new Set<LocalSubscription>()
  private readonly routes = new Map<string, Route>()
  private touched: LocalSubscription[] = []
  /** Counts the changes of `patterns`. */
  version = 1
  /** What is announced: the patterns of scope `all`, each once. */
  patterns: readonly string[] = []

  constructor(counters: TransportCounters) {
    this.counters = counters
  }

  /** Returns how to take it away again. @throws RangeError for a malformed pattern. */
  add(pattern: string, scope: SubscriptionScope, onBatch: BatchHandler): () => void {
    const subscription = new LocalSubscription(checkPattern(pattern), scope, onBatch)
    this.subscriptions.add(subscription)
    this.changed()
    return () => {
      subscription.closed = true
      if (this.subscriptions.delete(subscription)) this.changed()
    }
  }

  clear(): void {
    for (const subscription of this.subscriptions) subscription.closed = true
    this.subscriptions.clear()
    this.changed()
  }

  /** Adds a received message to the batches of its subscriptions. False for a malformed topic. */
  collect(message: Message, directed: boolean): boolean {
    const route = this.routes.get(message.topic) ?? this.findRoute(message.topic)
    if (route === undefined) return false
    for (const subscription of directed ? route.any : route.all) {
      if (subscription.batch.length === 0) this.touched.push(subscription)
      subscription.batch.push(message)
    }
    return true
  }

  /** Calls the handlers of what was collected; the promise resolves when all have settled. */
  deliver(): Promise<void> | undefined {
    const { touched } = this
    if (touched.length === 0) return undefined
    this.touched = []
    let pending: Promise<void>[] | undefined
    for (const subscription of touched) {
      const { batch } = subscription
      subscription.batch = []
      const done = this.call(subscription, batch)
      if (done !== undefined) (pending ??= []).push(done)
    }
    if (pending === undefined) return undefined
    return pending.length === 1 ? pending[0] : Promise.all(pending).then(() => undefined)
  }

  private call(subscription: LocalSubscription, batch: Message[]): Promise<void> | undefined {
    // Closed by a handler called just before this one.
    if (subscription.closed) return undefined
    try {
      const result = subscription.onBatch(batch)
      if (result === undefined) return undefined
      return Promise.resolve(result).catch(() => this.countLost(batch))
    } catch {
      this.countLost(batch)
      return undefined
    }
  }

  private countLost(batch: readonly Message[]): void {
    this.counters.droppedMessages += batch.length
    for (const message of batch) this.counters.droppedBytes += message.bytes.length
  }

  private findRoute(topic: string): Route | undefined {
    try {
      checkTopic(topic)
    } catch {
      return undefined
    }
    const any = [...this.subscriptions].filter(({ pattern }) => topicMatches(pattern, topic))
    const all = any.filter(({ scope }) => scope === 'all')
    const route = any.length === 0 ? NO_ROUTE : { all, any }
    if (this.routes.size >= ROUTES_MAX) this.routes.clear()
    this.routes.set(topic, route)
    return route
  }

  private changed(): void {
    this.routes.clear()
    const announced = [...this.subscriptions].filter(({ scope }) => scope === 'all')
    const patterns = [...new Set(announced.map(({ pattern }) => pattern))]
    if (patterns.join(' ') === this.patterns.join(' ')) return
    this.patterns = patterns
    this.version += 1
  }
}
