import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { startBootstrap } from './hyperswarm-bootstrap.ts'

const invalid = expect.objectContaining({ code: 'MESH_ADDRESS_INVALID' })

describe('bootstrap node', () => {
  it('says the address that peers are to name, and frees its port', async () => {
    const first = await startBootstrap({ host: 'localhost', port: 0 })
    expect(first.address).toMatch(/^127\.0\.0\.1:[1-9]\d+$/)
    await first.close()
    const port = Number(first.address.split(':')[1])
    const again = await startBootstrap({ host: '127.0.0.1', port })
    expect(again.address).toBe(first.address)
    await again.close()
  })

  it('a port in use - is refused with MESH_ADDRESS_IN_USE', async () => {
    const socket = createSocket('udp4').bind(0, '127.0.0.1')
    await once(socket, 'listening')
    const { port } = socket.address()
    await expect(startBootstrap({ host: '127.0.0.1', port })).rejects.toEqual(
      expect.objectContaining({ code: 'MESH_ADDRESS_IN_USE', retryable: true }),
    )
    socket.close()
  })

  it('the ports after it in use - others are taken', async () => {
    const first = await startBootstrap({ host: '127.0.0.1', port: 0 })
    const port = Number(first.address.split(':')[1]) - 1
    const before = await startBootstrap({ host: '127.0.0.1', port })
    await before.close()
    await first.close()
  })

  it('an address that peers cannot use, or that is not ours - is refused', async () => {
    for (const [host, port] of [
      ['0.0.0.0', 49_737],
      ['203.0.113.9', 49_737],
      ['no such host', 49_737],
      ['127.0.0.1', 65_536],
      ['127.0.0.1', -1],
    ] as const) {
      await expect(startBootstrap({ host, port })).rejects.toEqual(invalid)
    }
  })
})
