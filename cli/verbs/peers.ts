// `skein peers`: who is there. `skein peers remove`: ends a store's membership for good.
import type { Command } from 'commander'
import { nearestName, type Session } from '../../mesh/index.ts'
import { fetchFor, openAsking } from '../../nodes/index.ts'
import { fetchStoreStatus, requestRemoval } from '../../storage/index.ts'
import { contextOf, findMesh, wantsJson } from '../context.ts'
import { paintFor } from '../format/paint.ts'
import { peerRows, peersTable, type PeerRow } from '../format/peers-table.ts'
import { note, printJson, printLine, UsageError, warner } from '../output.ts'

const SHOW_HELP = `
shards: of 64, those whose readings it takes now. lag: frames it should hold
and does not yet; a store that fetches them says below how far it is. links:
processes it is connected with; none with a broker.`

const AFTER_HELP = `
For a store that will not come back. One that is only away needs nothing: it
catches up by itself. What it held is first copied from the others; skein peers
shows it as leaving until that is done.`

export function addPeers(program: Command): void {
  const peers = program
    .command('peers')
    .description('the peers of the mesh and their state')
    // A word after it is no argument but a verb below, written wrongly: checkVerb says so.
    .allowExcessArguments()
    .addHelpText('after', SHOW_HELP)
    .action(show)
  peers
    .command('remove <store>')
    .description(
      'end the membership of a store (its id, or the start of it) and re-replicate its history',
    )
    .addHelpText('after', AFTER_HELP)
    .action(remove)
}

async function show(_flags: unknown, command: Command): Promise<void> {
  checkVerb(command)
  const { config } = findMesh(command, contextOf(command))
  await using asking = await openAsking(config, { onWarning: warner(wantsJson(command)) })
  const { membership } = asking.session
  const found = peerRows(asking.session.mesh, membership.stores(), membership.peers())
  const rows = await Promise.all(found.map((row) => withRefill(asking.session, row)))
  if (wantsJson(command)) {
    printJson({ peers: rows })
    return
  }
  for (const line of peersTable(rows, paintFor(process.stdout, process.env))) printLine(line)
}

/** How far a store that lags has come, in its own words. */
async function withRefill(session: Session, row: PeerRow): Promise<PeerRow> {
  const { http, lagFrames = 0 } = row
  if (http === undefined || lagFrames === 0) return row
  try {
    const { refill } = await fetchStoreStatus(http, fetchFor(session))
    return refill === undefined ? row : { ...row, refill }
  } catch {
    // That it does not answer shows as its state.
    return row
  }
}

/** @throws UsageError. */
function checkVerb({ args: [word], commands }: Command): void {
  if (word === undefined) return
  const near = nearestName(
    word,
    commands.map((verb) => verb.name()),
  )
  const meant = near === undefined ? '' : ` (Did you mean ${near}?)`
  throw new UsageError(`unknown command '${word}'${meant}: see skein peers --help`)
}

async function remove(prefix: string, _flags: unknown, command: Command): Promise<void> {
  if (prefix === '') {
    throw new UsageError('the store to remove has no name: give its id, as skein peers shows it')
  }
  const { config } = findMesh(command, contextOf(command))
  await using asking = await openAsking(config, { onWarning: warner(wantsJson(command)) })
  const { membership } = asking.session
  const stores = membership.stores()
  const chosen = stores.filter(({ storeId }) => storeId.startsWith(prefix))
  if (chosen.length !== 1) {
    const known = stores.map(({ storeId }) => storeId).join(', ')
    const what = chosen.length === 0 ? 'is the id of no store' : 'begins several store ids'
    throw new UsageError(`${prefix} ${what}: the stores are ${known}`)
  }
  const { storeId } = chosen[0]!
  const through = stores.find((store) => store.storeId !== storeId && !store.suspect && store.http)
  if (through === undefined) {
    throw new UsageError(`no other store can be reached to remove ${storeId}: start one first`)
  }
  await requestRemoval(through.http!, storeId, fetchFor(asking.session))
  if (wantsJson(command)) printJson({ storeId, state: 'leaving' })
  else
    note(
      `${storeId} is leaving: its history is being copied; skein peers shows it until that is done`,
    )
}
