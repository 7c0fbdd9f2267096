import { failedSync } from './failed-sync.ts'
import { faultTests } from './fault-tests.ts'
import { noSpace } from './no-space.ts'
import { tornRecord } from './torn-record.ts'

faultTests(tornRecord, failedSync, noSpace)
