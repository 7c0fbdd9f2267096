// A bug, planted in a storage peer (node --import): a sync that failed counts as done.
import { plant } from '../../contract/planted/plant.ts'

plant('storage/level/appender.ts', 'else reject(error)', () => 'else resolve()')
