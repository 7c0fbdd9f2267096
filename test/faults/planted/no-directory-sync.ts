// A bug, planted in a storage peer (node --import): the name of a new file is not synced.
import { plant } from '../../contract/planted/plant.ts'

plant('mesh/directory.ts', 'await handle.sync()', () => '')
