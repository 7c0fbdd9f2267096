import { contractSuite } from './suite.ts'

contractSuite('zenoh')
