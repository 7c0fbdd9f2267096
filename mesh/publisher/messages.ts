// Cuts frames into messages: of one topic each, and of a bounded size.
import { bytesInMessage } from '../message.ts'
import type { Entry } from './entry.ts'

export interface FramesOfTopic {
  readonly topic: string
  readonly entries: readonly Entry[]
}

/** Messages of the entries' live topics, each of at most `bytesMax`; their order within a topic is kept. */
export function* liveMessages(
  entries: Iterable<Entry>,
  bytesMax: number,
): Generator<FramesOfTopic> {
  const byTopic = new Map<string, Entry[]>()
  for (const entry of entries) {
    const group = byTopic.get(entry.lane.topic)
    if (group === undefined) byTopic.set(entry.lane.topic, [entry])
    else group.push(entry)
  }
  for (const [topic, group] of byTopic) {
    for (const part of parts(group, bytesMax)) yield { topic, entries: part }
  }
}

function* parts(entries: readonly Entry[], bytesMax: number): Generator<readonly Entry[]> {
  let from = 0
  let size = 0
  for (const [index, entry] of entries.entries()) {
    const bytes = bytesInMessage(entry.size)
    if (size > 0 && size + bytes > bytesMax) {
      yield entries.slice(from, index)
      from = index
      size = 0
    }
    size += bytes
  }
  yield entries.slice(from)
}
