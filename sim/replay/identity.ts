// The epoch of a replay. A live publisher opens a new epoch at each start; a replay of the same file
// with the same mapping and codec makes the same frames, so it gets the same epoch: what is already
// stored is recognised by name instead of being stored twice. Anything that changes a frame's bytes
// must go into the hash, or two different frames would claim one name.
import { createHash } from 'node:crypto'
import { canonicalJson, type CodecName, type Epoch } from '../../mesh/index.ts'
import { CUT_SAMPLES_MAX, CUT_VERSION } from './cut.ts'
import type { Mapping } from './mapping.ts'

export interface ReplayIdentity {
  /** SHA-256 of the file's bytes. */
  readonly fileHash: Uint8Array
  readonly mapping: Mapping
  readonly codec: CodecName
  /** The cutter's limit, when it is not the default. */
  readonly samplesMax?: number | undefined
  /** Random bytes that make this replay another one, stored beside the first. */
  readonly salt?: Uint8Array | undefined
}

/**
 * The first 8 bytes of SHA-256 over the identity as canonical JSON, so that comments, order and layout
 * of the mapping do not count. Unlike a live epoch it holds no start time:
 * epochStartUs of it is meaningless.
 */
export function replayEpoch(identity: ReplayIdentity): Epoch {
  const { fileHash, mapping, codec, samplesMax = CUT_SAMPLES_MAX, salt } = identity
  const told = canonicalJson({
    cut: { version: CUT_VERSION, samplesMax },
    codec,
    file: Buffer.from(fileHash).toString('hex'),
    mapping,
    ...(salt === undefined ? {} : { salt: Buffer.from(salt).toString('hex') }),
  })
  return createHash('sha256').update(told).digest('hex').slice(0, 16) as Epoch
}
