// Tells its time when asked; for machine.ts.
import { nowUs } from './clock.ts'

process.on('message', () => process.send!(nowUs()))
process.on('disconnect', () => process.exit(0))
process.send!('ready')
