// The last message that the stream keeps of each s/ subject, for those who subscribe later.
import type { Msg } from '@nats-io/transport-node'
import type { Clock } from '../clock.ts'
import { SCHEMA_ASK_TOPIC, topicMatches } from '../topic.ts'
import type { StreamAccess } from './nats-feed.ts'
import { NatsPull } from './nats-pull.ts'
import type { NatsSubjects } from './nats-subjects.ts'

const NS_PER_MS = 1_000_000
const INACTIVE_MS = 30_000
const DEADLINE_MS = 5000
/** Schemas are small, and a mesh has some hundreds; more than this is somebody's garbage. */
const BYTES_MAX = 16 * 1024 * 1024

/** Those that match the pattern; fewer, or none, when the server does not answer in time. */
export async function lastOfEach(
  access: StreamAccess,
  subjects: NatsSubjects,
  clock: Clock,
  pattern: string,
): Promise<Msg[]> {
  const { manager, nc, messageBytesMax } = access
  try {
    const { name, num_pending: count } = await manager.consumers.add(subjects.stream, {
      deliver_policy: 'last_per_subject',
      ack_policy: 'none',
      mem_storage: true,
      inactive_threshold: INACTIVE_MS * NS_PER_MS,
      filter_subjects: [subjects.ofPattern('s/>')],
    })
    const messages: Msg[] = []
    if (count === 0) return messages
    const done = Promise.withResolvers<void>()
    let taken = 0
    let bytes = 0
    const pull = new NatsPull(
      {
        nc,
        stream: subjects.stream,
        consumer: name,
        clock,
        bytesMax: Math.max(BYTES_MAX, messageBytesMax + 8192),
        onMessage(message) {
          taken += 1
          bytes += message.data.length
          const topic = subjects.topicOf(message.subject)
          const isWanted = topic !== SCHEMA_ASK_TOPIC && topicMatches(pattern, topic ?? '')
          if (isWanted && bytes <= BYTES_MAX) messages.push(message)
          if (taken >= count) done.resolve()
        },
        onBroken: () => done.resolve(),
        wants: () => true,
      },
      access.newInbox(),
    )
    const timer = clock.startTimer(DEADLINE_MS, () => done.resolve())
    await done.promise
    timer.cancel()
    pull.stop()
    await manager.consumers.delete(subjects.stream, name)
    return messages
  } catch {
    // The connection or the stream is gone: with the next one it is tried again.
    return []
  }
}
