import { contractSuite } from './suite.ts'

contractSuite('nats')
