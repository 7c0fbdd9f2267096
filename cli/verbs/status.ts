// `skein status`: is everything acknowledging, and what does each store hold.
import type { Command } from 'commander'
import { openAsking } from '../../nodes/index.ts'
import { fetchStoreStatus, type StoreStatus } from '../../storage/index.ts'
import { contextOf, findMesh, wantsJson } from '../context.ts'
import { table } from '../format/table.ts'
import { bytes, count } from '../format/units.ts'
import { EXIT } from '../exit-codes.ts'
import { note, printJson, printLine, warn } from '../output.ts'

export function addStatus(program: Command): void {
  program
    .command('status')
    .description('whether the mesh acknowledges, and what each store holds')
    .action(status)
}

async function status(_flags: unknown, command: Command): Promise<void> {
  const { config } = findMesh(command, contextOf(command))
  await using asking = await openAsking(config, { onWarning: warn })
  const stores = asking.session.membership.stores()
  const found = await Promise.all(
    stores.map(async ({ storeId, http }) => ({ storeId, status: await statusOf(http) })),
  )
  const { replicas, writeQuorum, name } = config.mesh
  const able = found.filter(({ status }) => status?.acknowledges === true).length
  const healthy = able >= writeQuorum
  if (wantsJson(command)) {
    printJson({ mesh: { name, replicas, writeQuorum }, healthy, stores: found })
  } else {
    const rows = found.map(({ storeId, status }) => ({
      store: storeId,
      state: status === undefined ? 'no answer' : (status.refusing ?? 'acknowledges'),
      frames: status === undefined ? '' : count(status.frames),
      samples: status === undefined ? '' : count(status.samples),
      disk: status === undefined ? '' : bytes(status.diskBytes),
      memory: status === undefined ? '' : bytes(status.rssBytes),
    }))
    for (const line of table(rows, ['store', 'state', 'frames', 'samples', 'disk', 'memory'])) {
      printLine(line)
    }
    note(
      healthy
        ? `mesh ${name} acknowledges: ${able} of ${found.length} stores can, ${writeQuorum} must`
        : `mesh ${name} does not acknowledge: ${able} of ${found.length} stores can, ${writeQuorum} must`,
    )
  }
  if (!healthy) process.exitCode = EXIT.failed
}

async function statusOf(http: string | undefined): Promise<StoreStatus | undefined> {
  if (http === undefined) return undefined
  try {
    return await fetchStoreStatus(http)
  } catch {
    // No answer is the answer.
    return undefined
  }
}
