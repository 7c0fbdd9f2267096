import { bucketMade } from './bucket-made.ts'
import { compactionCut } from './compaction-cut.ts'
import { faultTests } from './fault-tests.ts'
import { powerCut } from './power-cut.ts'

faultTests(powerCut, bucketMade, compactionCut)
