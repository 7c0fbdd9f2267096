// A bug, planted in a storage peer (node --import): it acknowledges what it has written and not synced.
import { plant } from '../../contract/planted/plant.ts'

plant('storage/level/level-store.ts', 'sync = true', () => 'sync = false')
