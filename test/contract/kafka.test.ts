import { contractSuite } from './suite.ts'

contractSuite('kafka')
