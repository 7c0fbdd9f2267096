import { expect, test } from 'vitest'
import { FakeClock } from '../mesh/fake-clock.ts'
import { MeshError, type Publisher, type Session } from '../mesh/index.ts'
import { VehicleNode } from './vehicle.ts'

const source = {
  source: 'VH001',
  sample: (timeUs: number) => ({ timeUs, fields: { speed: 1 } }),
  isOnline: () => true,
}

/** A vehicle whose outbox cannot be written. */
function vehicleThat(retryable: boolean) {
  const clock = new FakeClock()
  const said: string[] = []
  const refused = { count: 0 }
  const publish = (): boolean => {
    throw new MeshError('MESH_OUTBOX_WRITE_FAILED', 'outbox /data: no space', { retryable })
  }
  const vehicle = new VehicleNode({
    session: undefined as unknown as Session,
    publisher: { publish } as unknown as Publisher,
    clock,
    stream: 'vehicle.motion',
    sources: [source],
    samplesPerSecond: 10,
    onRefused: () => (refused.count += 1),
    onWarning: (message) => said.push(message),
  })
  return { vehicle, clock, said, refused }
}

test('a full disk refuses samples, which is said once, and the vehicle drives on', async () => {
  const { vehicle, clock, said, refused } = vehicleThat(true)
  vehicle.start()
  await clock.advance(5_000)
  vehicle.stop()
  expect(refused.count).toBe(vehicle.planned)
  expect(refused.count).toBeGreaterThan(40)
  expect(said).toEqual([
    'MESH_OUTBOX_WRITE_FAILED: outbox /data: no space. Samples are refused until there is space',
  ])
})

test('an outbox that takes nothing any more ends the vehicle', () => {
  const { vehicle, refused } = vehicleThat(false)
  expect(() => vehicle.start()).toThrow('outbox /data: no space')
  expect(refused.count).toBe(0)
})
