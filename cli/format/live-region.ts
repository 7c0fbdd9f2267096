// A few lines at the bottom of a terminal that are drawn again and again, as `skein up` and
// `skein top` show their state. Pure text: the caller writes what comes back.
import { displayWidth, fit } from './width.ts'

const ERASE_DOWN = '\x1b[J'
const HIDE_CURSOR = '\x1b[?25l'
const SHOW_CURSOR = '\x1b[?25h'
/** Begin and end of synchronized update: terminals that know it show no half-drawn frame. */
const SYNC_BEGIN = '\x1b[?2026h'
const SYNC_END = '\x1b[?2026l'

export interface TerminalSize {
  readonly columns: number
  readonly rows: number
}

export class LiveRegion {
  /** How wide each line is that was drawn: a terminal made narrower has wrapped them. */
  private drawn: readonly number[] = []

  /**
   * The text that replaces what was drawn before with `lines`. Lines are cut to the terminal: a line
   * that wraps would be counted as one and leave its rest behind. One row stays free, or the terminal
   * scrolls at each draw.
   */
  draw(lines: readonly string[], { columns, rows }: TerminalSize): string {
    const shown = lines.slice(0, Math.max(1, rows - 1)).map((line) => fit(line, columns))
    const text = this.eraseText(columns) + shown.map((line) => `${line}\n`).join('')
    this.drawn = shown.map(displayWidth)
    return SYNC_BEGIN + HIDE_CURSOR + text + SYNC_END
  }

  /** Leaves the last drawing where it is and gives the cursor back. Also right after a crash. */
  end(): string {
    this.drawn = []
    return SHOW_CURSOR
  }

  private eraseText(columns: number): string {
    const rows = this.drawn.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / columns)), 0)
    return rows === 0 ? '' : `\x1b[${rows}A\r${ERASE_DOWN}`
  }
}
