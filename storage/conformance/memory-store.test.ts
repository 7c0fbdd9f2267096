// The suite reopens a directory; what is in memory outlives its "directory" only within the test.
import { frameStoreSuite } from './frame-store-suite.ts'
import { MemoryStore } from './memory-store.ts'

const byDirectory = new Map<string, MemoryStore>()

frameStoreSuite('memory store', {
  open: async (directory) => {
    const store = byDirectory.get(directory)?.reborn() ?? new MemoryStore()
    byDirectory.set(directory, store)
    return store
  },
})
