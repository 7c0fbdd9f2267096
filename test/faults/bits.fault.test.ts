import { bitFlip, bitFlipFacts } from './bit-flip.ts'
import { faultTests } from './fault-tests.ts'

faultTests(bitFlip, bitFlipFacts)
