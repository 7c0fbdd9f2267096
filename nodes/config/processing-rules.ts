// What zod cannot see by looking at one key: rules between the windows and thresholds of the
// aggregator. Results are streams like any other, so they may be processed again, but two operators
// may not write one stream (it has one schema), and no operator may end up reading what it writes.
import type { z } from 'zod'
import type { ThresholdSettings, WindowSettings } from './settings.ts'

/** Panes a source may have open at once, see windows.ts. */
const LATENESS_WINDOWS_MAX = 1000

interface Processing {
  readonly windows: readonly WindowSettings[]
  readonly thresholds: readonly ThresholdSettings[]
}

interface Step {
  readonly path: (string | number)[]
  readonly stream: string
  readonly output: string
}

export function checkProcessing(processing: Processing, context: z.RefinementCtx): void {
  const report = (path: (string | number)[], message: string): void => {
    context.addIssue({ code: 'custom', path, message })
  }
  for (const [index, window] of processing.windows.entries()) {
    const path = ['windows', index]
    if (window.lateness > LATENESS_WINDOWS_MAX * window.every) {
      report(
        [...path, 'lateness'],
        `spans more than ${LATENESS_WINDOWS_MAX} windows of this length`,
      )
    }
    for (const key of ['fields', 'aggregates'] as const) {
      const twice = window[key].find((item, at) => window[key].indexOf(item as never) !== at)
      if (twice !== undefined) report([...path, key], `names ${JSON.stringify(twice)} twice`)
    }
  }
  for (const [index, threshold] of processing.thresholds.entries()) {
    checkLimits(threshold, (key, message) => report(['thresholds', index, ...key], message))
  }
  checkSteps(
    [...steps('windows', processing.windows), ...steps('thresholds', processing.thresholds)],
    report,
  )
}

/** The stream an operator writes when it is not told: `<stream>.<name>`. */
export function outputOf(step: {
  readonly name: string
  readonly stream: string
  readonly output?: string | undefined
}): string {
  return step.output ?? `${step.stream}.${step.name}`
}

function checkLimits(
  { above, below, hysteresis }: ThresholdSettings,
  report: (key: string[], message: string) => void,
): void {
  if (above === undefined && below === undefined) report([], 'needs above, below or both')
  if (above === undefined || below === undefined) return
  if (below >= above) report(['below'], `is ${below}; it must be less than above (${above})`)
  else if (hysteresis > above - below) {
    report(['hysteresis'], `is ${hysteresis}, wider than the band from below to above`)
  }
}

function steps(list: string, items: readonly (WindowSettings | ThresholdSettings)[]): Step[] {
  return items.map((item, index) => ({
    path: [list, index],
    stream: item.stream,
    output: outputOf(item),
  }))
}

function checkSteps(
  all: readonly Step[],
  report: (path: (string | number)[], message: string) => void,
): void {
  const writers = new Map<string, Step>()
  for (const step of all) {
    const first = writers.get(step.output)
    if (first === undefined) writers.set(step.output, step)
    else {
      const [list, index] = first.path
      report(step.path, `writes stream ${step.output}, as aggregator.${list}[${index}] does`)
    }
  }
  for (const step of all) {
    if (readsItself(step, writers))
      report(step.path, `reads in a circle what it writes (${step.output})`)
  }
}

/** Every stream has one writer, so the chain upstream of a step is a line, or a circle. */
function readsItself(step: Step, writers: ReadonlyMap<string, Step>): boolean {
  const seen = new Set<Step>()
  let upstream = writers.get(step.stream)
  while (upstream !== undefined && !seen.has(upstream)) {
    if (upstream === step) return true
    seen.add(upstream)
    upstream = writers.get(upstream.stream)
  }
  return false
}
