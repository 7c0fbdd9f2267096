import { test } from 'vitest'
import { useMeshes } from './harness/mesh.ts'
const meshes = useMeshes()
test.each(Array.from({length:12},(_,i)=>i))("x %i", async () => {
  const mesh = meshes.create()
  try { await mesh.startStores(3) } catch (e) {
    for (const s of mesh.stores) {
      const d = await s.digest()
      console.log(s.name, s.endpoint, s.process.said, JSON.stringify(d))
      console.log(await (await fetch((s as any).http + '/v1/peers')).text())
      console.log(await (await fetch((s as any).http + '/readyz')).text())
    }
    throw e
  }
}, 60000)
