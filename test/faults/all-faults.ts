// Every fault, in the order of the report.
import { bitFlip, bitFlipFacts } from './bit-flip.ts'
import { bitFlipOld } from './bit-flip-old.ts'
import { bucketMade } from './bucket-made.ts'
import { compactionCut } from './compaction-cut.ts'
import { failedSync } from './failed-sync.ts'
import type { Fault } from './fault.ts'
import { hourAway } from './hour-away.ts'
import { kill } from './kill.ts'
import { manySources } from './many-sources.ts'
import { noSpace } from './no-space.ts'
import { outboxFlip } from './outbox-flip.ts'
import { powerCut } from './power-cut.ts'
import { retentionDay } from './retention-day.ts'
import { swappedDisks } from './swapped-disks.ts'
import { tornRecord } from './torn-record.ts'
import { wipedStore } from './wiped-store.ts'
import { wrongClock } from './wrong-clock.ts'

export const FAULTS: readonly Fault[] = [
  kill,
  powerCut,
  bucketMade,
  compactionCut,
  tornRecord,
  bitFlip,
  bitFlipFacts,
  bitFlipOld,
  outboxFlip,
  noSpace,
  failedSync,
  hourAway,
  wipedStore,
  swappedDisks,
  wrongClock,
  manySources,
  retentionDay,
]
