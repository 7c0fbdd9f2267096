import { faultTests } from './fault-tests.ts'
import { manySources } from './many-sources.ts'
import { swappedDisks } from './swapped-disks.ts'
import { wipedStore } from './wiped-store.ts'

faultTests(wipedStore, swappedDisks, manySources)
