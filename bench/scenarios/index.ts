// The scenarios by name, in the order of the documentation.
import { busExperiments } from './bus-experiments.ts'
import { cost } from './cost.ts'
import { fan } from './fan.ts'
import { late } from './late.ts'
import { latency } from './latency.ts'
import { outage } from './outage.ts'
import { scale } from './scale.ts'
import type { Scenario } from './scenario.ts'
import { store } from './store.ts'
import { throughput } from './throughput.ts'

export const SCENARIOS: readonly Scenario[] = [
  latency,
  throughput,
  fan,
  outage,
  late,
  cost,
  scale,
  store,
  busExperiments,
]
