// Is A faster than B, and by how much? Blocks are paired, because what disturbs one disturbs the other:
// the ratio is taken block by block, and its interval by the bootstrap over blocks, on logarithms, so
// that a/b and b/a say the same.
import { SeededRandom } from '../../mesh/index.ts'

export interface Ratio {
  /** Geometric mean of the blocks' ratios. */
  readonly ratio: number
  /** 95 % interval; as wide as the ratio is unknown where there are fewer than three blocks. */
  readonly low: number
  readonly high: number
  readonly blocks: number
}

const RESAMPLES = 2_000
/** Fewer give no interval. */
export const BLOCKS_MIN = 3

/** By block: `a[i]` and `b[i]` were measured one after the other. Undefined without a pair. */
export function pairedRatio(
  a: readonly number[],
  b: readonly number[],
  seed = 1,
): Ratio | undefined {
  const logs = a.flatMap((value, i) => {
    const other = b[i]
    return value > 0 && other !== undefined && other > 0 ? [Math.log(value / other)] : []
  })
  if (logs.length === 0) return undefined
  const ratio = Math.exp(mean(logs))
  if (logs.length < BLOCKS_MIN) return { ratio, low: 0, high: Infinity, blocks: logs.length }
  const random = new SeededRandom(seed)
  const means = Array.from({ length: RESAMPLES }, () =>
    mean(logs.map(() => logs[Math.floor(random.next() * logs.length)]!)),
  ).sort((x, y) => x - y)
  return {
    ratio,
    low: Math.exp(means[Math.floor(RESAMPLES * 0.025)]!),
    high: Math.exp(means[Math.floor(RESAMPLES * 0.975)]!),
    blocks: logs.length,
  }
}

/** How far a system is from itself: ratios nearer to 1 than this are no difference. At least 1. */
export function noiseFloor(control: Ratio | undefined): number {
  if (control === undefined) return 1
  const { ratio, low, high } = control
  const spread = [ratio, high, low > 0 ? 1 / low : Infinity].filter(Number.isFinite)
  return Math.max(1, ...spread, 1 / ratio)
}

export type Verdict = 'faster' | 'slower' | 'equal'

/** Of a against b, both latencies or costs: less is faster. */
export function verdict({ ratio, low, high }: Ratio, floor: number): Verdict {
  if (high < 1 && ratio < 1 / floor) return 'faster'
  if (low > 1 && ratio > floor) return 'slower'
  return 'equal'
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
