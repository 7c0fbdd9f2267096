// What the processes of one mesh know and others do not: the topic they meet on, and the key by which
// they prove to each other that they belong together. Both are derived from the mesh's name and key,
// each in its own way, so that a DHT node, which sees the topic, can prove nothing with it.
import { createHash, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import { MeshError } from '../errors.ts'

export interface MeshSecrets {
  /** 32 bytes, public: where peers announce themselves. */
  readonly topic: Buffer
  /** 32 bytes, secret. */
  readonly proofKey: Buffer
}

export function meshSecrets(meshName: string, meshKey: string): MeshSecrets {
  const topic = createHash('sha256')
    .update('skein hyperswarm topic 1\0')
    .update(lengthOf(meshName))
    .update(meshName, 'utf8')
    .update(meshKey, 'utf8')
    .digest()
  const proofKey = Buffer.from(
    hkdfSync('sha256', meshKey, meshName, 'skein hyperswarm proof 1', 32),
  )
  return { topic, proofKey }
}

/** Tells the name from the key, so that ("ab", "c") and ("a", "bc") are two meshes. */
function lengthOf(text: string): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(Buffer.byteLength(text))
  return length
}

/** What a stream carries once both sides have proved themselves; the side that opened it says so. */
export const STREAM_ANSWER = 0
export const STREAM_LINK = 1
export const STREAM_HTTP = 2
/** Nothing: only finds out whether anybody is there. */
export const STREAM_PROBE = 3

const PROOF_VERSION = 1
const MAC_BYTES = 32
/** version, kind, HMAC */
export const PROOF_BYTES = 2 + MAC_BYTES

/**
 * Shape: version (1 byte), kind (1), HMAC-SHA-256 (32) over role, kind and the Noise handshake's hash,
 * which no other stream has: a proof overheard elsewhere, or our own sent back, proves nothing.
 */
export function makeProof(
  secrets: MeshSecrets,
  handshakeHash: Uint8Array,
  isInitiator: boolean,
  kind: number,
): Buffer {
  const mac = createHmac('sha256', secrets.proofKey)
    .update(Buffer.from([PROOF_VERSION, isInitiator ? 1 : 0, kind]))
    .update(handshakeHash)
    .digest()
  return Buffer.concat([Buffer.from([PROOF_VERSION, kind]), mac])
}

/** The kind of stream that the other side proved to want; undefined when it proved nothing. */
export function checkProof(
  secrets: MeshSecrets,
  handshakeHash: Uint8Array,
  isInitiator: boolean,
  proof: Buffer,
): number | undefined {
  const kind = proof[1]
  if (proof.length !== PROOF_BYTES || kind === undefined) return undefined
  const right = makeProof(secrets, handshakeHash, isInitiator, kind)
  return timingSafeEqual(right, proof) ? kind : undefined
}

const SCHEME = 'hyperswarm://'

export function endpointOf(publicKey: Buffer): string {
  return `${SCHEME}${publicKey.toString('hex')}`
}

/** @throws MeshError MESH_ADDRESS_INVALID. */
export function publicKeyOf(endpoint: string): Buffer {
  const hex = /^hyperswarm:\/\/([0-9a-f]{64})$/.exec(endpoint)?.[1]
  if (hex === undefined) {
    throw new MeshError(
      'MESH_ADDRESS_INVALID',
      `cannot use hyperswarm address ${JSON.stringify(endpoint)}: write ${SCHEME} and the peer's public key, 64 hexadecimal digits`,
      { details: { endpoint } },
    )
  }
  return Buffer.from(hex, 'hex')
}

export interface BootstrapAddress {
  readonly host: string
  readonly port: number
}

/** @throws MeshError MESH_ADDRESS_INVALID. */
export function bootstrapAddress(text: string): BootstrapAddress {
  const [, host, digits] = /^([^\s:/@]+):(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  if (host === undefined || port < 1 || port > 65_535) {
    throw new MeshError(
      'MESH_ADDRESS_INVALID',
      `cannot use bootstrap address ${JSON.stringify(text)}: write host:port, e.g. 127.0.0.1:49737`,
      { details: { bootstrap: text } },
    )
  }
  return { host, port }
}
