// The contract of Transport as tests: every transport's own test file calls this, so that all of
// them are held to the same cases and the same faults. A case is left out only where a declared
// capability says that it has no meaning, and its title then says why.
import { describe, expect } from 'vitest'
import { deliveryCases } from './transport-suite-delivery.ts'
import { flowCases } from './transport-suite-flow.ts'
import { lifeCases } from './transport-suite-life.ts'
import { linkCases } from './transport-suite-links.ts'
import { topicCases } from './transport-suite-topics.ts'
import type { SuiteOptions } from './transport-rig.ts'
import { Cases } from './transport-rig.ts'

export type {
  BreakablePath,
  CreateOptions,
  RemotePeer,
  SuiteOptions,
  TransportHarness,
} from './transport-rig.ts'

export function transportSuite(name: string, options: SuiteOptions): void {
  const cases = new Cases(options)
  describe(`${name}: the transport suite`, () => {
    cases.all('capabilities - are those declared', async (rig) => {
      const transport = await rig.open()
      expect(transport.name).toBe(name)
      expect(transport.capabilities).toEqual(options.capabilities)
    })
    describe('topics', () => {
      topicCases(cases)
    })
    describe('delivery', () => {
      deliveryCases(cases)
    })
    describe('flow control', () => {
      flowCases(cases)
    })
    describe('life', () => {
      lifeCases(cases)
    })
    describe('links', () => {
      linkCases(cases)
    })
  })
}
