// What stores ask of each other: digests, scans, frames, schemas. Not meant for people, and no part
// of the public API.
import type { FastifyInstance } from 'fastify'
import type { Clock, SchemaId } from '../../mesh/index.ts'
import { openFrame } from '../../mesh/index.ts'
import type { FrameRecord, FramesRequest, ScanEvent, StorePeer } from '../query/peer.ts'
import { encodeRecords, encodeRecordsEnd } from './frame-records.ts'
import { HttpError } from './http-errors.ts'
import { withHeartbeat } from './ndjson.ts'
import {
  checkRequest,
  differencesRequest,
  digestRequest,
  framesRequest,
  scanRequest,
} from './peer-requests.ts'
import { closeSignal, Gate, sendStream } from './reply-stream.ts'
import { encodeScanEvent, SCAN_END } from './scan-lines.ts'

/** Requests name sources and runs one by one: 100,000 sources are some 3 MB. */
const BODY_BYTES_MAX = 64 * 1024 * 1024
/**
 * A last resort: an asker that is refused takes this store for dead. They must not queue, since
 * askers wait for several stores at once and two could wait for each other. Memory is shared out
 * among them (query/local-peer.ts).
 */
const SCANS_MAX = 256
/** Half of what a client waits in silence, and half again. */
const HEARTBEAT_MS = 2_500
/** One answer of frames, whatever was asked; what is not sent yet is not read yet. */
const FRAME_BYTES_PER_ANSWER = 64 * 1024 * 1024

export function addPeerRoutes(app: FastifyInstance, peer: StorePeer, clock: Clock): void {
  const scans = new Gate(SCANS_MAX, 'scans')
  const options = { bodyLimit: BODY_BYTES_MAX }

  app.post('/v1/peer/digest', options, async (request, reply) =>
    peer.digest(checkRequest(digestRequest, request.body), closeSignal(reply)),
  )

  app.post('/v1/peer/differences', options, async (request, reply) =>
    peer.differences(checkRequest(differencesRequest, request.body), closeSignal(reply)),
  )

  app.get('/v1/peer/streams', async (_request, reply) => peer.streams(closeSignal(reply)))

  app.post('/v1/peer/scan', options, async (request, reply) => {
    const wanted = checkRequest(scanRequest, request.body)
    scans.enter(reply)
    const events = peer.scan(wanted, closeSignal(reply))
    const lines = withHeartbeat(scanLines(events), clock, HEARTBEAT_MS)
    return sendStream(reply, 'application/x-ndjson', lines)
  })

  app.post('/v1/peer/frames', options, async (request, reply) => {
    const { lanes, bytesMax } = checkRequest(framesRequest, request.body)
    const wanted: FramesRequest = { lanes, bytesMax: Math.min(bytesMax, FRAME_BYTES_PER_ANSWER) }
    const records = recordBytes(peer.frames(wanted, closeSignal(reply)))
    return sendStream(reply, 'application/octet-stream', records)
  })

  app.get('/v1/peer/schemas/:id', async (request, reply) => {
    const { id } = request.params as { id: string }
    const bytes = /^[0-9a-f]{16}$/.test(id)
      ? await peer.schema(id as SchemaId, closeSignal(reply))
      : undefined
    if (bytes === undefined) {
      throw new HttpError(404, 'HTTP_NOT_FOUND', `schema ${id} is not known here`)
    }
    // Stores take the frame, which they can check; people want to read the schema.
    if (request.headers.accept?.includes('application/octet-stream') === true) {
      return reply.type('application/octet-stream').send(bytes)
    }
    return reply.type('application/schema+json').send(openFrame(bytes).body.toString('utf8'))
  })
}

async function* scanLines(events: AsyncIterable<ScanEvent>): AsyncGenerator<string> {
  for await (const event of events) yield encodeScanEvent(event)
  yield SCAN_END
}

async function* recordBytes(
  pages: AsyncGenerator<readonly FrameRecord[], boolean>,
): AsyncGenerator<Buffer> {
  try {
    for (;;) {
      const next = await pages.next()
      if (next.done === true) {
        yield encodeRecordsEnd(next.value)
        return
      }
      yield encodeRecords(next.value)
    }
  } finally {
    await pages.return(false)
  }
}
