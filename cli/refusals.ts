// Rows of an input that were refused: the first ones listed with line and reason, all of them with
// --json and in the counts.
import { jsonLine } from './format/json-line.ts'
import { warner } from './output.ts'

const LISTED_MAX = 50

export class Refusals {
  count = 0
  private readonly json: boolean

  constructor(json: boolean) {
    this.json = json
  }

  /** Whether they make a failure of a run that took so many other rows: all were refused, or any with --strict. */
  areFailure(taken: number, strict: boolean): boolean {
    return this.count > 0 && (strict || taken === 0)
  }

  /** `row`: its line in the file, where rows are lines. */
  add(row: number, reason: string): void {
    this.count += 1
    if (this.json) process.stderr.write(jsonLine({ refused: { row, reason } }))
    else if (this.count <= LISTED_MAX) warner(false)(`line ${row} refused: ${reason}`)
    else if (this.count === LISTED_MAX + 1)
      warner(false)('more rows refused: --json lists them all')
  }
}
