// A bug, planted in a storage peer (node --import): it never asks the others for what it lacks, and says
// that it lacks nothing.
import { plant } from './plant.ts'

plant('storage/repair/repair.ts', 'await this.look()', () => '')
plant('nodes/storage/standing.ts', 'if (!repair.caughtUp) return', () => 'if (false) return')
