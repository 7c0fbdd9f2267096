// What a scenario has to say, as data: the terminal and the HTML page draw the same.

export interface Report {
  readonly title: string
  /** The question that the scenario answers, one sentence. */
  readonly question: string
  readonly sections: readonly Section[]
}

export interface Section {
  readonly title: string
  /** The result in a sentence or two, made from the figures. */
  readonly finding: string
  readonly tables?: readonly Table[]
  readonly plots?: readonly Plot[]
}

export interface Table {
  readonly columns: readonly Column[]
  readonly rows: readonly (readonly Cell[])[]
}

export interface Column {
  readonly name: string
  /** `µs`, `samples/s`; shown in the head. */
  readonly unit?: string
}

/** Numbers are formatted to three figures; undefined shows as a dash. */
export type Cell = string | number | undefined

export interface Plot {
  readonly title: string
  /** lines: x is a number. bars: x is a name. */
  readonly kind: 'lines' | 'bars'
  readonly x: Axis
  readonly y: Axis
  readonly series: readonly Series[]
}

export interface Axis {
  readonly label: string
  readonly unit?: string
  /**
   * Default linear. tail: a percentile, spread towards 100: 0, 90, 99, 99.9 are equally far apart.
   */
  readonly scale?: 'linear' | 'log' | 'tail'
}

export interface Series {
  /** Shown in the legend. Those that begin with a system's name have that system's colour. */
  readonly name: string
  readonly points: readonly Point[]
}

export interface Point {
  readonly x: number | string
  readonly y: number
  /** Least and greatest over blocks. */
  readonly low?: number
  readonly high?: number
  /** Drawn hollow: the system did not keep up, or the run is void. */
  readonly isHollow?: boolean
}
