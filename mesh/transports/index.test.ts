import { describe, expect, it } from 'vitest'
import { MESH } from '../conformance/transport-rig.ts'
import { SeededRandom } from '../seeded-random.ts'
import { systemClock } from '../system.ts'
import type { TransportConfig } from './index.ts'
import { createTransport } from './index.ts'
import { createMemoryNetwork } from './memory-network.ts'

const clock = systemClock
const random = new SeededRandom(1)

describe('createTransport', () => {
  it('a known name - makes that transport, not open yet', async () => {
    const network = createMemoryNetwork({ clock, random })
    const memory = await createTransport({ name: 'memory', network, meshId: MESH })
    const zeromq = await createTransport({ name: 'zeromq', meshId: MESH, clock, random })
    expect([memory.name, zeromq.name]).toEqual(['memory', 'zeromq'])
    expect(memory.endpoint).toBeUndefined()
    await memory.close()
    await zeromq.close()
  })

  it('an unknown name - is MESH_TRANSPORT_UNKNOWN, and says what there is', async () => {
    const config = { name: 'carrier-pigeon', meshId: MESH } as unknown as TransportConfig
    await expect(createTransport(config)).rejects.toMatchObject({
      code: 'MESH_TRANSPORT_UNKNOWN',
      message: expect.stringMatching(/carrier-pigeon.*memory, zeromq/) as unknown,
    })
  })
})
