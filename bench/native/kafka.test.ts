import { expect, test } from 'vitest'
import { resultOf } from './kafka.ts'

const SAID = `Warmup first 100000 records. Steady state results will print after the complete test summary.
600000 records sent, 162866.449511 records/sec (46.60 MB/sec), 444.79 ms avg latency, 727.00 ms max latency, 441 ms 50th, 666 ms 95th, 703 ms 99th, 711 ms 99.9th.
500000 steady state records sent, 185735.512630 records/sec (53.14 MB/sec), 480.88 ms avg latency, 727.00 ms max latency, 476 ms 50th, 673 ms 95th, 704 ms 99th, 711 ms 99.9th.
`

test('what the tool says last - is the result, its mebibytes in megabytes', () => {
  const { megabytesPerSecond, ...result } = resultOf(SAID)
  expect(result).toEqual({ recordsPerSecond: 185_735.51263, p50Ms: 476, p99Ms: 704 })
  expect(megabytesPerSecond).toBeCloseTo(55.72, 2)
})

test('a tool that did not finish - is an error with what it said', () => {
  expect(() => resultOf('no brokers')).toThrow(
    'kafka-producer-perf-test did not finish: no brokers',
  )
})
