import { contractSuite } from './suite.ts'

contractSuite('zeromq')
