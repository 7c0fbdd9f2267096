// Rows of an input that were refused: the first ones listed with row and reason, all of them with
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

  add(row: number, reason: string): void {
    this.count += 1
    if (this.json) process.stderr.write(jsonLine({ refused: { row, reason } }))
    else if (this.count <= LISTED_MAX) warner(false)(`row ${row} refused: ${reason}`)
    else if (this.count === LISTED_MAX + 1)
      warner(false)('more rows refused: --json lists them all')
  }
}
