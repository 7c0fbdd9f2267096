// A bug, planted in a storage peer (node --import): it never asks the others for what it lacks.
import { plant } from './plant.ts'

plant('nodes/storage.ts', 'this.repair.start()', () => '')
