import { transportSuite } from '../conformance/transport-suite.ts'
import { MESH } from '../conformance/transport-rig.ts'
import { SeededRandom } from '../seeded-random.ts'
import { systemClock } from '../system.ts'
import { createMemoryNetwork } from './memory-network.ts'

transportSuite('memory', {
  capabilities: {
    brokered: false,
    ordered: true,
    replays: false,
    messageBytesMax: 16 * 1024 * 1024,
  },
  setup() {
    const network = createMemoryNetwork({ clock: systemClock, random: new SeededRandom(1) })
    let endpoints = 0
    return {
      invalidAddresses: ['', 'nonsense', 'tcp://127.0.0.1:1', 'memory://', 'memory://a b'],
      create: (options) => Promise.resolve(network.transport({ meshId: MESH, ...options })),
      breakable: (dialler, listener) =>
        Promise.resolve({
          endpoint: listener.endpoint!,
          cut: () => network.cut(dialler.peerId, listener.peerId),
        }),
      freeEndpoint: () => {
        endpoints += 1
        return Promise.resolve(`memory://free-${endpoints}`)
      },
      async spawnPeer(endpoint) {
        const peer = network.transport({ meshId: MESH, ...(endpoint && { endpoint }) })
        await peer.open()
        await peer.subscribe('ask/*', (batch) => {
          for (const { topic, bytes } of batch) {
            peer.publish(topic.replace('ask', 'answer'), Buffer.from(bytes))
          }
        })
        return {
          peerId: peer.peerId,
          endpoint: peer.endpoint!,
          kill: () => network.crash(peer.peerId),
        }
      },
    }
  },
})
