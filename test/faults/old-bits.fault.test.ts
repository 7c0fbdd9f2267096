import { bitFlipOld } from './bit-flip-old.ts'
import { faultTests } from './fault-tests.ts'
import { outboxFlip } from './outbox-flip.ts'

faultTests(bitFlipOld, outboxFlip)
