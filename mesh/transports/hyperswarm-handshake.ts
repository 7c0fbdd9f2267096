// What comes first on every encrypted stream: both sides prove that they know the mesh's key, and the
// one that opened the stream says what it is for. Noise proves who is there, not that they belong
// here: anybody who learns a public key can open a stream to it.
import type { SecretStream } from 'hyperdht'
import type { Clock } from '../clock.ts'
import type { MeshSecrets } from './hyperswarm-keys.ts'
import { STREAM_ANSWER, checkProof, makeProof } from './hyperswarm-keys.ts'
import { endSoon } from './hyperswarm-streams.ts'

/** Who opens a stream and proves nothing is dropped after so long. */
const PROOF_MS = 5000

export interface HandshakeOptions {
  readonly secrets: MeshSecrets
  readonly clock: Clock
  /** What the stream is for; of no meaning on a stream that the other side opened. */
  readonly kind: number
  /** The other side belongs here. Read the stream from now on: nothing of it has been taken beyond its proof. */
  onProven(kind: number): void
  /** The other side does not belong here; the stream is ending. */
  onRefused(): void
}

/** Takes a stream that is open. Calls one of the two, or neither when the stream closes before. */
export function shakeHands(stream: SecretStream, options: HandshakeOptions): void {
  const { secrets, clock } = options
  const { isInitiator, handshakeHash } = stream
  if (handshakeHash === null) {
    stream.destroy()
    return
  }
  const refuse = (): void => {
    forget()
    endSoon(stream, clock)
    options.onRefused()
  }
  const timer = clock.startTimer(PROOF_MS, refuse)
  // One write is one Noise message is one chunk: a proof never comes in pieces.
  const onData = (chunk: Buffer): void => {
    const kind = checkProof(secrets, handshakeHash, !isInitiator, chunk)
    if (kind === undefined || isInitiator !== (kind === STREAM_ANSWER)) {
      refuse()
      return
    }
    forget()
    // Whoever takes the stream over listens before this turn ends, or resumes it later.
    stream.pause()
    options.onProven(isInitiator ? options.kind : kind)
  }
  function forget(): void {
    timer.cancel()
    stream.off('data', onData)
    stream.off('close', forget)
  }
  stream.on('data', onData)
  stream.on('close', forget)
  const kind = isInitiator ? options.kind : STREAM_ANSWER
  stream.write(makeProof(secrets, handshakeHash, isInitiator, kind))
}
