import { faultTests } from './fault-tests.ts'
import { kill } from './kill.ts'

faultTests(kill)
