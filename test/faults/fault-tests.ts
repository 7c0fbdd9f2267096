// The tests of some faults: each is survived, and each is able to fail, with a bug planted in the stores.
import { expect, test } from 'vitest'
import { failuresOf, type Fault, type Plant } from './fault.ts'

const SEED = Number(process.env['SEED'] ?? 20_261_122)
/** Of `kill`; 100 where a checkout is judged. */
const KILLS = Number(process.env['SKEIN_KILLS'] ?? 10)
const CASE_MS = 180_000
const KILL_MS = 6_000
/** A bug shows within so many. */
const PLANTED_RUNS_MAX = 4

const runsOf = (fault: Fault): number => (fault.name === 'kill' ? KILLS : fault.runs)

export function faultTests(...faults: readonly Fault[]): void {
  for (const fault of faults) {
    const { title, plants } = fault
    const noReason = fault.unavailable?.()
    if (noReason !== undefined) console.log(`${title}: not tested: ${noReason}`)
    // One after the other: two cores starve the processes of more than a few meshes at once.
    const testOne = noReason === undefined ? test : test.skip

    testOne(
      `${title} - nothing is lost, wrong or repeated`,
      async () => {
        const outcome = await fault.run({ seed: SEED, runs: runsOf(fault) })
        expect(failuresOf(outcome), `SEED=${SEED}: ${outcome.happened}`).toEqual([])
      },
      CASE_MS + runsOf(fault) * KILL_MS,
    )

    for (const plant of plants) {
      testOne(
        `${title} - it fails with the bug ${plant}`,
        async () => {
          expect(await failures(fault, plant)).not.toEqual([])
        },
        CASE_MS,
      )
    }
  }
}

/** What a fault finds wrong with a planted bug. @throws Error when the bug is not what stopped it. */
async function failures(fault: Fault, plant: Plant): Promise<readonly string[]> {
  try {
    const runs = Math.min(fault.runs, PLANTED_RUNS_MAX)
    return failuresOf(await fault.run({ seed: SEED, runs, plant }))
  } catch (error) {
    const { message } = error as Error
    if (!FOUND.test(message)) throw error
    return [message]
  }
}

/** How a fault says that a promise is broken; anything else is trouble of its own. */
const FOUND =
  /samples are missing|acknowledged \d+ frames that its disk lacks|acks (were|came)|frames lacking: .*[1-9]|is complete: |old buckets are gone|acknowledges frames again|has caught up/
