import { contractSuite } from './suite.ts'

contractSuite('hyperswarm')
