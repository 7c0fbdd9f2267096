// What people's tools ask of one storage peer: how it is, and to end a membership.
import type { StoreId } from '../../mesh/index.ts'
import { StorageError } from '../errors.ts'
import type { RefillProgress } from '../repair/progress.ts'
import type { Fetch } from './fetch-over.ts'

export interface StoreStatus {
  readonly acknowledges: boolean
  /** Why it does not. */
  readonly refusing: string | undefined
  /** Held by the store, all lives of its process together. */
  readonly frames: number
  readonly samples: number
  readonly diskBytes: number
  readonly rssBytes: number
  /** Frames that other stores hold and this one should. */
  readonly missingFrames: number
  /** How far fetching them has come; absent while there is nothing to fetch. */
  readonly refill?: RefillProgress
  /** Since its process started, as opposed to what is held. */
  readonly writtenSamples: number
  readonly writtenBytes: number
}

const TIMEOUT_MS = 5_000

/** @throws when the peer does not answer. */
export async function fetchStoreStatus(http: string, fetchIt: Fetch = fetch): Promise<StoreStatus> {
  const answer = await fetchIt(`${http}/healthz`, { signal: AbortSignal.timeout(TIMEOUT_MS) })
  const body = (await answer.json()) as Record<string, unknown> & { reasons: string[] }
  const number = (name: string): number => Number(body[name] ?? 0)
  return {
    acknowledges: answer.ok,
    refusing: body.reasons[0],
    frames: number('frames'),
    samples: number('samples'),
    diskBytes: number('diskBytes'),
    rssBytes: number('rssBytes'),
    missingFrames: number('missingFrames'),
    ...(body.refill !== undefined && { refill: body.refill as RefillProgress }),
    writtenSamples: number('writtenSamples'),
    writtenBytes: number('writtenBytes'),
  }
}

/** @throws StorageError with what the peer said. */
export async function requestRemoval(
  http: string,
  storeId: StoreId,
  fetchIt: Fetch = fetch,
): Promise<void> {
  const answer = await fetchIt(`${http}/v1/peers/remove`, {
    method: 'POST',
    body: JSON.stringify({ storeId }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  })
  if (answer.ok) return
  const { error } = (await answer.json()) as { error: { message: string } }
  throw new StorageError('QUERY_INVALID', error.message, { details: { storeId } })
}
