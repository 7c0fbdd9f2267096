// The frames on their way to one place: in order, pass after pass, never more than so many bytes without
// their ack. The same for every system; what sends them is passed what to send.
import type { Frames } from './frames.ts'

export interface PipeOptions {
  readonly frames: Pick<Frames, 'count' | 'bytesOf' | 'frame'>
  /** Which of them, ascending; all when absent. */
  readonly indexes?: Uint32Array
  readonly inFlightBytes: number
  /** Frames before this one, counted over all passes, are left out: another feed sent those. */
  readonly firstFrame: number
}

export interface Taken {
  /** Of the frame in its set. */
  readonly index: number
  readonly pass: number
}

export class Pipe {
  sentFrames = 0
  ackedFrames = 0
  ackedBytes = 0
  /** What the place grants; less than `inFlightBytes` holds too. */
  grantBytes = Infinity
  private readonly options: PipeOptions
  private readonly length: number
  /** Of the next frame, in `indexes` repeated for ever. */
  private position: number
  private sentBytes = 0

  constructor(options: PipeOptions) {
    const { frames, indexes, firstFrame } = options
    this.options = options
    this.length = indexes?.length ?? frames.count
    const pass = Math.floor(firstFrame / frames.count)
    const index = firstFrame % frames.count
    const before = indexes?.findLastIndex((each) => each < index) ?? index - 1
    this.position = pass * this.length + before + 1
  }

  /** The next frames that may leave: those before frame `until` of all passes, about `bytesMax`. */
  take(until: number, bytesMax: number): Taken[] {
    const { frames, inFlightBytes } = this.options
    const room = Math.min(inFlightBytes, this.grantBytes)
    const taken: Taken[] = []
    for (let bytes = 0; bytes < bytesMax && this.length > 0;) {
      const { index, pass, number } = this.next()
      const size = frames.bytesOf(index)
      if (number >= until || this.sentBytes - this.ackedBytes + size > room) break
      taken.push({ index, pass })
      bytes += size
      this.position += 1
      this.sentFrames += 1
      this.sentBytes += size
    }
    return taken
  }

  acked(bytes: number): void {
    this.ackedFrames += 1
    this.ackedBytes += bytes
  }

  bytes({ index, pass }: Taken): Buffer {
    return this.options.frames.frame(index, pass)
  }

  /** Whether all before frame `until` are acknowledged. */
  isDone(until: number): boolean {
    return (
      this.ackedFrames === this.sentFrames && (this.length === 0 || this.next().number >= until)
    )
  }

  private next(): Taken & { readonly number: number } {
    const { frames, indexes } = this.options
    const pass = Math.floor(this.position / this.length)
    const place = this.position % this.length
    const index = indexes?.[place] ?? place
    return { index, pass, number: pass * frames.count + index }
  }
}
