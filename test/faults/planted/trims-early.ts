// A bug, planted in a storage peer (node --import): retention takes what is half as old as it may be.
import { plant } from '../../contract/planted/plant.ts'

plant('storage/retention.ts', 'bucketMs + ageMs <= nowMs', () => 'bucketMs + ageMs / 2 <= nowMs')
