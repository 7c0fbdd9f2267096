// The contract suite: every case on one transport. What has no meaning on it is skipped, and says why;
// npm run conformance prints the table.
import { afterAll, beforeAll, describe, test, type TestContext } from 'vitest'
import type { TransportName } from '../../mesh/index.ts'
import { systemSuite } from '../../systems/testing.ts'
import { createMesh } from '../harness/mesh.ts'
import { Namespace } from '../harness/namespace.ts'
import { needsServer, openNetwork, type TestNetwork } from '../harness/network.ts'
import { CONTRACT_CASES, type CaseContext } from './cases.ts'

const CASE_MS = 240_000
const NETWORK_MS = 120_000

export function contractSuite(transport: TransportName): void {
  const title = `${transport}: the contract`
  const declare = (): void => {
    cases(transport)
  }
  if (needsServer(transport)) systemSuite(transport, declare, title)
  else {
    describe(title, () => {
      declare()
    })
  }
}

function cases(transport: TransportName): void {
  let network: TestNetwork
  beforeAll(async () => {
    network = await openNetwork(transport)
  }, NETWORK_MS)
  afterAll(() => network?.close(), NETWORK_MS)
  // Where the real systems are required, so are wires: without them such a case fails.
  const isWireless = transport === 'memory' || process.env['SKEIN_REQUIRE_SYSTEMS'] === '1'
  const noWire = isWireless ? undefined : Namespace.unavailable()
  for (const { title, skip, needsWire, run } of CONTRACT_CASES) {
    const reason = skip?.(transport) ?? (needsWire === true ? noWire : undefined)
    if (reason === undefined) {
      // Most of a case is waiting: several side by side take no longer than the longest. On the memory
      // transport all share one network, and with it the faults.
      const declare = transport === 'memory' ? test : test.concurrent
      declare(
        title,
        async ({ onTestFinished }) => {
          await run(contextOf(network, onTestFinished))
        },
        CASE_MS,
      )
    } else {
      test.skipIf(true)(`${title} [skipped: ${reason}]`, () => {})
    }
  }
}

function contextOf(
  network: TestNetwork,
  onTestFinished: TestContext['onTestFinished'],
): CaseContext {
  return {
    network,
    createMesh: (other = network) => createMesh(onTestFinished, other),
    use: (resource) => {
      onTestFinished(async () => await resource[Symbol.asyncDispose](), NETWORK_MS)
      return resource
    },
  }
}
