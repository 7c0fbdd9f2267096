import { expect, test } from 'vitest'
import { encodeAnnouncement, readAnnouncement, type Announcement } from './announcement.ts'
import type { MeshId, PeerId } from './names.ts'

test('a store whose reason to refuse is long is heard all the same', () => {
  const refusing = `STORE_DISK_FULL: cannot write to /${'a-long-name/'.repeat(80)}: the disk is full`
  const sent: Announcement = {
    mesh: '0011223344556677' as MeshId,
    meshName: 'test',
    replicas: 2,
    writeQuorum: 2,
    self: { id: '1111111111111111' as PeerId, incarnation: 1, roles: ['storage'], refusing },
    grantBytes: 1,
    members: new Map(),
    known: [],
  }
  const heard = readAnnouncement(encodeAnnouncement(sent))
  expect(heard?.self.refusing).toBe(refusing.slice(0, 512))
})
