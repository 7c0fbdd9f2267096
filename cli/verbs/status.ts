// `skein status`: is everything acknowledging, and what does each store hold.
import type { Command } from 'commander'
import type { Session } from '../../mesh/index.ts'
import { fetchFor, openAsking } from '../../nodes/index.ts'
import { fetchStoreStatus, type StoreStatus } from '../../storage/index.ts'
import { contextOf, findMesh, wantsJson } from '../context.ts'
import { byName } from '../format/by-name.ts'
import { paintFor } from '../format/paint.ts'
import { shortAddress } from '../format/short-address.ts'
import { table, type Column } from '../format/table.ts'
import { bytes, count } from '../format/units.ts'
import { EXIT } from '../exit-codes.ts'
import { note, printJson, printLine, warner } from '../output.ts'

interface FoundStore {
  readonly name: string | undefined
  readonly storeId: string
  readonly http: string | undefined
  /** Absent: it did not answer. */
  readonly status: StoreStatus | undefined
}

const AFTER_HELP = `
Exit code 1 when fewer stores than the write quorum acknowledge.`

export function addStatus(program: Command): void {
  program
    .command('status')
    .description('whether the mesh acknowledges, and what each store holds')
    .addHelpText('after', AFTER_HELP)
    .action(status)
}

async function status(_flags: unknown, command: Command): Promise<void> {
  const { config } = findMesh(command, contextOf(command))
  const json = wantsJson(command)
  await using asking = await openAsking(config, { onWarning: warner(json) })
  const found = await Promise.all(
    asking.session.membership
      .stores()
      .toSorted(byName)
      .map(async ({ storeId, name, http }) => ({
        storeId,
        name,
        http,
        status: await statusOf(asking.session, http),
      })),
  )
  const { replicas, writeQuorum, name } = config.mesh
  const able = found.filter((store) => store.status?.acknowledges === true).length
  const healthy = able >= writeQuorum
  if (json) {
    printJson({ mesh: { name, replicas, writeQuorum }, healthy, stores: found })
  } else {
    for (const line of storeTable(found)) printLine(line)
    const verdict = healthy ? 'acknowledges' : 'does not acknowledge'
    note(`mesh ${name} ${verdict}: ${able} of ${found.length} stores can, ${writeQuorum} must`)
  }
  if (!healthy) process.exitCode = EXIT.failed
}

function storeTable(found: readonly FoundStore[]): string[] {
  const paint = paintFor(process.stdout, process.env)
  const number = (title: string, text: (status: StoreStatus) => string): Column<FoundStore> => ({
    title,
    align: 'right',
    value: ({ status }) => (status === undefined ? '' : text(status)),
  })
  const columns: readonly Column<FoundStore>[] = [
    { title: 'name', value: ({ name }) => name ?? '-' },
    { title: 'store', value: ({ storeId }) => storeId },
    number('frames', ({ frames }) => count(frames)),
    number('samples', ({ samples }) => count(samples)),
    number('missing', ({ missingFrames }) => count(missingFrames)),
    number('disk', ({ diskBytes }) => bytes(diskBytes)),
    number('memory', ({ rssBytes }) => bytes(rssBytes)),
    { title: 'http', value: ({ http }) => shortAddress(http ?? '') },
    {
      title: 'state',
      value: (store) => {
        const state = stateOf(store)
        return paint(state === 'acknowledges' ? 'green' : 'red', state)
      },
    },
  ]
  return table(found, columns, { paint })
}

function stateOf({ status }: FoundStore): string {
  if (status === undefined) return 'no answer'
  return status.acknowledges ? 'acknowledges' : (status.refusing ?? 'does not acknowledge')
}

async function statusOf(
  session: Session,
  http: string | undefined,
): Promise<StoreStatus | undefined> {
  if (http === undefined) return undefined
  try {
    return await fetchStoreStatus(http, fetchFor(session))
  } catch {
    // No answer is the answer.
    return undefined
  }
}
