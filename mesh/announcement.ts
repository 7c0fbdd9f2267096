// What a peer says of itself each second on `m/peers`, and what it knows of others, so that one seed
// is enough to learn all. JSON: small, once a second, and readable in a capture.
import { z } from 'zod'
import { MEMBER_STATES, type MemberState, type MemberTable } from './member-table.ts'
import type { MeshId, PeerId, StoreId } from './names.ts'

export const PEER_ROLES = ['storage', 'aggregator', 'gateway', 'subscriber'] as const
export type PeerRole = (typeof PEER_ROLES)[number]

const isId = (value: unknown): boolean => typeof value === 'string' && /^[0-9a-f]{16}$/.test(value)
const meshId = z.custom<MeshId>(isId)
const peerId = z.custom<PeerId>(isId)
const storeId = z.custom<StoreId>(isId)

/** A reason in words may name long paths; an announcement that is too long is not read at all. */
const REFUSING_CHARS_MAX = 512

const peerInfo = z.object({
  id: peerId,
  /** Start of this process, µs since the Unix epoch: the later of two with one store id is the living one. */
  incarnation: z.number().int().nonnegative(),
  roles: z.array(z.enum(PEER_ROLES)),
  /** What people call it; nothing depends on it. */
  name: z.string().max(256).optional(),
  /** Where to link to it; absent when it only dials. */
  endpoint: z.string().max(256).optional(),
  http: z.string().max(256).optional(),
  storeId: storeId.optional(),
  joined: z.boolean().optional(),
  /** Why it does not acknowledge, in words; absent when healthy. */
  refusing: z.string().max(REFUSING_CHARS_MAX).optional(),
  transport: z.string().max(32).optional(),
  /** Processes it has a link with; absent where a broker stands between. */
  links: z.number().int().nonnegative().optional(),
  /** Frames it should hold and does not yet. */
  lagFrames: z.number().int().nonnegative().optional(),
})

const announcement = z.object({
  version: z.literal(1),
  mesh: meshId,
  meshName: z.string().max(256),
  replicas: z.number().int().positive(),
  writeQuorum: z.number().int().positive(),
  self: peerInfo,
  /** What a publisher may send this store unacknowledged before its first ack, bytes. */
  grantBytes: z.number().int().nonnegative().optional(),
  /** This store's synced member table. */
  members: z.record(z.string().regex(/^[0-9a-f]{16}$/), z.enum(MEMBER_STATES)),
  /** Peers heard of, with the time since they were, ms. */
  known: z.array(peerInfo.extend({ heardMsAgo: z.number().nonnegative() })).max(10_000),
})

export interface PeerInfo {
  readonly id: PeerId
  readonly incarnation: number
  readonly roles: readonly PeerRole[]
  readonly name?: string | undefined
  readonly endpoint?: string | undefined
  readonly http?: string | undefined
  readonly storeId?: StoreId | undefined
  readonly joined?: boolean | undefined
  readonly refusing?: string | undefined
  readonly transport?: string | undefined
  readonly links?: number | undefined
  readonly lagFrames?: number | undefined
}

export interface Announcement {
  readonly mesh: MeshId
  readonly meshName: string
  readonly replicas: number
  readonly writeQuorum: number
  readonly self: PeerInfo
  readonly grantBytes: number | undefined
  readonly members: MemberTable
  readonly known: readonly (PeerInfo & { readonly heardMsAgo: number })[]
}

export function encodeAnnouncement(message: Announcement): Buffer {
  const { members, self, ...rest } = message
  const refusing = self.refusing?.slice(0, REFUSING_CHARS_MAX)
  const told = { version: 1, self: { ...self, refusing }, ...rest }
  return Buffer.from(JSON.stringify({ ...told, members: Object.fromEntries(members) }))
}

/** Undefined for anything that is not an announcement. */
export function readAnnouncement(bytes: Buffer): Announcement | undefined {
  let json: unknown
  try {
    json = JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
  const parsed = announcement.safeParse(json)
  if (!parsed.success) return undefined
  const { members, grantBytes, ...rest } = parsed.data
  return {
    ...rest,
    grantBytes,
    members: new Map(Object.entries(members) as [StoreId, MemberState][]),
  }
}
