// The same frames to a broker, by the bench's own producers: a frame is a message, its source the key.
import { clientOf } from '../systems/clients.ts'
import type { FeedAssignment } from './feed-messages.ts'
import type { Frames } from './frames.ts'
import type { Outlet } from './outlet.ts'
import { Pipe } from './pipe.ts'

/** Taken at once: nothing is packed here, the producers make their own batches. */
const TAKE_BYTES = 256 * 1024
const NO_FIELDS = {}

export async function openBrokerOutlet(
  { channel, set, inFlightBytes, firstFrame }: FeedAssignment,
  frames: Frames,
  onAcked: () => void,
): Promise<Outlet> {
  const pipe = new Pipe({ frames, inFlightBytes, firstFrame })
  const client = await clientOf(channel.setting.system)
  const producer = await client.openProducer({
    channel,
    form: 'frame',
    samplesPerFrame: set.samplesPerFrame,
    sources: set.sources,
    schema: set.schema,
    process: 0,
    // A broker knows no names: another pass is the same bytes again.
    encode: (_source, [frame]) => frames.frame(frame!.timeUs, 0),
    onReceipt(receipts) {
      for (const { timeUs: index } of receipts) pipe.acked(frames.bytesOf(index))
      onAcked()
    },
    onLost: (count, why) => {
      throw new Error(`${count} frames were given up: ${why}`)
    },
  })
  return {
    pipes: [pipe],
    copies: 1,
    pump(until) {
      for (;;) {
        const taken = pipe.take(until, TAKE_BYTES)
        if (taken.length === 0) return
        for (const { index } of taken) {
          producer.publish(frames.sourceOf(index), [{ timeUs: index, fields: NO_FIELDS }])
        }
      }
    },
    close: () => producer.close(),
  }
}
