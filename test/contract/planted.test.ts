// The contract suite must be able to fail: with a bug planted in the storage peers, what it checks does not
// hold any more.
import { join } from 'node:path'
import { expect, test, type TestContext } from 'vitest'
import { createMesh } from '../harness/mesh.ts'
import { Contract } from './contract.ts'
import { Echo } from './echo.ts'

const PLANTED = join(import.meta.dirname, 'planted')
const CASE_MS = 120_000
/** A store that repairs has caught up within 2 s. */
const REPAIRED_MS = 15_000

/** A running pipeline whose stores have the bug, if any. */
async function started(
  onTestFinished: TestContext['onTestFinished'],
  bug?: string,
): Promise<Contract> {
  const mesh = createMesh(onTestFinished)
  if (bug !== undefined) mesh.storeFlags = ['--import', join(PLANTED, bug)]
  const contract = new Contract(mesh)
  await contract.start()
  return contract
}

async function repeat(contract: Contract): Promise<void> {
  await using echo = await Echo.open(contract.mesh)
  await echo.sentAgain(300)
}

async function killAndRestart({ mesh, goOn }: Contract): Promise<void> {
  const victim = mesh.stores[1]!
  await victim.kill()
  await goOn()
  await victim.start()
  await victim.caughtUp(REPAIRED_MS)
}

test.concurrent(
  'duplicates are not dropped - the suite sees stores that write a frame twice',
  async ({ onTestFinished }) => {
    const contract = await started(onTestFinished, 'no-duplicates-dropped.ts')
    await repeat(contract)
    const twice = expect.stringMatching(/wrote \d+ frames and holds/) as unknown
    await expect(contract.check()).rejects.toMatchObject({ actual: [twice, twice, twice] })
  },
  CASE_MS,
)

test.concurrent(
  'repair is off - the suite sees an owner that lacks what it owns',
  async ({ onTestFinished }) => {
    const contract = await started(onTestFinished, 'no-repair.ts')
    contract.repairMs = REPAIRED_MS
    await killAndRestart(contract)
    await expect(contract.check()).rejects.toThrow(/frames lacking: \d+/)
  },
  CASE_MS,
)

test.concurrent(
  'nothing is planted - the same passes',
  async ({ onTestFinished }) => {
    const contract = await started(onTestFinished)
    await repeat(contract)
    await killAndRestart(contract)
    await contract.check()
  },
  CASE_MS,
)
