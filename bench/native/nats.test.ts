import { expect, test } from 'vitest'
import { rateOf } from './nats.ts'

test('the rate is read from what nats bench says', () => {
  const said =
    '11:41:43 [1] Starting JetStream asynchronous publisher, publishing 50,000 messages\n\n' +
    'NATS JetStream asynchronous publisher stats: 73,612 msgs/sec ~ 9.0 MiB/sec ~ min: 2,874.81us\n'
  expect(rateOf(said)).toBe(73_612)
})

test('a tool that did not finish - its words are in the error', () => {
  expect(() => rateOf('nats: error: no servers available')).toThrow(/no servers available/)
})
