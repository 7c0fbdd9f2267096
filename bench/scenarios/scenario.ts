// What a scenario is to the command line: a name, a question, and how it is measured and told.
import type { Options } from '../options.ts'
import type { Report } from '../report/report.ts'
import type { Runner } from '../run/runner.ts'
import type { BenchSystemName } from '../systems/system.ts'

export interface Scenario {
  readonly name: string
  /** One sentence, in `--help` and at the head of the report. */
  readonly question: string
  /** Measures what it needs; interrupted, it throws, and what was measured stays in `runner.runs`. */
  measure(context: Context): Promise<void>
  /** From the runs alone, so that an interrupted one has a report of what there is. */
  report(context: Context): Report
}

export interface Context {
  readonly options: Options
  readonly runner: Runner
  /** Skein, and those of --against that can run here. */
  readonly systems: readonly BenchSystemName[]
}
