// A bug, planted in a storage peer (node --import): every frame is new to it, however often it comes.
import { plant } from './plant.ts'

plant('storage/sort-out.ts', 'const firsts = new FirstInBatch()', (found) => {
  return `${found}\n  return { verdicts: batch.map(() => 'stored'), conflicts }`
})
