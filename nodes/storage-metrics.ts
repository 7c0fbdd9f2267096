// What a storage peer tells Prometheus. Numbers of the node only: vehicles are behind the query API.
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client'

/** Name, what it means, and where it is read. */
export type Metric = readonly [name: string, help: string, read: () => number]

/** A registry that reads each number when it is scraped. */
export function metricsRegistry(metrics: readonly Metric[]): Registry {
  const register = new Registry()
  collectDefaultMetrics({ register })
  for (const [name, help, read] of metrics) {
    const gauge: Gauge = new Gauge({
      ...{ name, help, registers: [register] },
      collect: () => gauge.set(read()),
    })
  }
  return register
}
