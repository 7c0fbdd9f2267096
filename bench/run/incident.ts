// What happens in the middle of a run of some scenarios, and the figures that tell of it.
import type { Run } from '../result.ts'
import type { Deployment } from '../systems/system.ts'
import type { Arrived, Published } from './messages.ts'
import type { Load } from '../load.ts'

export interface Incident {
  /** Called when the measured window opens; the run does not end before it does. */
  begin(window: OpenWindow): Promise<void>
  /** From all that was noted, when the run is over. */
  figures(observed: Observed): Pick<Run, 'extra' | 'steps'>
  /** When all is published, one more subscriber reads the channel from its beginning. */
  readonly readsBack?: boolean
  /** What is lost or repeated is a figure of it, and does not void the run. */
  readonly mayLose?: boolean
}

export interface OpenWindow {
  readonly deployment: Deployment
  /** Planned begin of the window, µs on the clock of measure/clock.ts. */
  readonly startUs: number
  /** Starts one more subscriber, which reads the channel from its beginning and counts like the others. */
  join(): Promise<void>
}

export interface Observed {
  readonly load: Load
  /** By publisher. */
  readonly published: readonly Published[]
  /** By subscriber; those that joined come last. */
  readonly arrived: readonly Arrived[]
  /** By the subscriber that read all of it in the end. */
  readonly readBack: Arrived | undefined
}
