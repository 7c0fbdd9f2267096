// What a node tells Prometheus. Numbers of the node only: vehicles are behind the query API.
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'

/** Name, what it means, and where it is read. A name that ends in `_total` only ever grows. */
export type Metric = readonly [name: string, help: string, read: () => number]

/** A registry that reads each number when it is scraped. */
export function metricsRegistry(metrics: readonly Metric[]): Registry {
  const register = new Registry()
  collectDefaultMetrics({ register })
  for (const [name, help, read] of metrics) {
    const about = { name, help, registers: [register] }
    if (name.endsWith('_total')) {
      const counter: Counter = new Counter({
        ...about,
        collect: () => {
          counter.reset()
          counter.inc(read())
        },
      })
    } else {
      const gauge: Gauge = new Gauge({ ...about, collect: () => gauge.set(read()) })
    }
  }
  return register
}
