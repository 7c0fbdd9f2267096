import { contractSuite } from './suite.ts'

contractSuite('memory')
