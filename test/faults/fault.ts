// What every fault of this folder is: something bad that is done to real storage peers under load, and the
// figures that say what became of what they had acknowledged.

/** Bugs that tests plant in the storage peers, to show that a fault is able to fail. */
export const PLANTS = {
  'no-repair': '../contract/planted/no-repair.ts',
  'no-sync': 'planted/no-sync.ts',
  'no-dedup': '../contract/planted/no-duplicates-dropped.ts',
  'trusted-sync': 'planted/trusted-sync.ts',
  'no-directory-sync': 'planted/no-directory-sync.ts',
  'no-block-sync': 'planted/no-block-sync.ts',
  'trims-early': 'planted/trims-early.ts',
} as const

export type Plant = keyof typeof PLANTS

export interface FaultOptions {
  readonly seed: number
  /** How often the fault happens, where it can happen more than once. */
  readonly runs: number
  readonly plant?: Plant
}

export interface FaultOutcome {
  /** That it did happen: asserted, and told here with figures. */
  readonly happened: string
  readonly runs: number
  readonly frames: number
  readonly samples: number
  /** Acknowledged, and missing from an answer that calls itself complete, or from a store that said it has it. */
  readonly lost: number
  /** Served, and never published so. */
  readonly wrong: number
  /** Served, or on one disk, more than once. */
  readonly repeated: number
  /** From the end of the fault to the first complete answer with all stores counted; the longest. */
  readonly completeMs: number
  /** The most memory of a store, and what it must stay below. */
  readonly rssBytes: number
  readonly rssMaxBytes: number
}

export interface Fault {
  readonly name: string
  readonly title: string
  /** With each of these it must fail. */
  readonly plants: readonly Plant[]
  /** Of `run`, in a run of all tests. */
  readonly runs: number
  /** Why it cannot be done on this machine. */
  unavailable?(): string | undefined
  /** @throws Error when the fault did not happen, or the stores do not come back whole. */
  run(options: FaultOptions): Promise<FaultOutcome>
}

/** What an outcome must not have; empty when it is good. */
export function failuresOf({ lost, wrong, repeated, ...outcome }: FaultOutcome): string[] {
  const { rssBytes, rssMaxBytes } = outcome
  return [
    ...(lost > 0 ? [`${lost} lost`] : []),
    ...(wrong > 0 ? [`${wrong} wrong`] : []),
    ...(repeated > 0 ? [`${repeated} repeated`] : []),
    ...(rssBytes > rssMaxBytes ? [`a store had ${rssBytes} bytes, more than ${rssMaxBytes}`] : []),
  ]
}
