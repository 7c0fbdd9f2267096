import { faultTests } from './fault-tests.ts'
import { hourAway } from './hour-away.ts'
import { retentionDay } from './retention-day.ts'
import { wrongClock } from './wrong-clock.ts'

faultTests(hourAway, retentionDay, wrongClock)
