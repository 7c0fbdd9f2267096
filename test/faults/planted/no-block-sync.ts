// A bug, planted in a storage peer (node --import): a file of blocks takes the place of segments before it is
// synced.
import { plant } from '../../contract/planted/plant.ts'

plant('storage/level/blocks/compaction.ts', 'fs.fdatasyncSync(this.fd)', () => '')
