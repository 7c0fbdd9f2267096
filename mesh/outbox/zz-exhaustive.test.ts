import { readFileSync, writeFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test, expect } from 'vitest'
import { OutboxLog } from './log.ts'
import { readBootId } from './boot.ts'
import { replay } from './recovery.ts'
import { copySegments, frameOf, frozenClock, MESH, segmentNames, tempDirectory } from './testing/support.ts'
test('exhaustive', async () => {
  const root = tempDirectory()
  const log = await OutboxLog.open({ directory: join(root, 'lanes'), meshId: MESH, clock: frozenClock, segmentBytes: 2000 })
  for (let i = 1; i <= 20; i++) {
    for (const source of ['a', 'b', 'c']) {
      const kind = source === 'c' && i === 20 ? 'end' : 'data'
      const position = log.appendSeal(frameOf(i, [i], 40, { source, kind }), [])
      if (i % 2 === 0) log.done(position)
    }
    if (i % 7 === 0) await log.sync()
  }
  copySegments(join(root, 'lanes'), join(root, 'crashed'))
  await log.close()
  const counts: Record<string, number> = {}
  const names = segmentNames(join(root, 'crashed'))
  console.log(names)
  for (const name of names.slice(-3)) {
    const original = readFileSync(join(root, 'crashed', name))
    for (let bit = 0; bit < original.length * 8; bit++) {
      copySegments(join(root, 'crashed'), join(root, 'f'))
      const bytes = Buffer.from(original)
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      writeFileSync(join(root, 'f', name), bytes)
      const { recovered } = await replay(join(root, 'f'), MESH, readBootId()).catch((e) => { if (e.code === 'MESH_OUTBOX_DAMAGED') return { recovered: { lanes: [] } }; throw e })
      const certain = recovered.lanes.filter(({ uncertain }) => !uncertain)
      for (const { source, lastSequence, ended } of certain) {
        if (lastSequence !== 20 || ended !== (source === 'c')) throw new Error(`${name} bit ${bit}: ${source} ${lastSequence} ${ended}`)
      }
      counts[certain.length] = (counts[certain.length] ?? 0) + 1
    }
  }
  console.log(counts)
  // Truncations of the newest at every byte, in another boot and the same
  rmSync(root, { recursive: true })
}, 580_000)
