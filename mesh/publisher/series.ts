// One source's stream at its publisher: takes samples, gathers them, and seals them into frames.
// publish() is the hot path: a check, a push, and at most one scheduling call.
import { FRAME_SAMPLES_MAX, FRAME_SPAN_US_MAX } from '../frame.ts'
import { MeshError } from '../errors.ts'
import type { Epoch } from '../names.ts'
import type { Sample } from '../sample.ts'
import { inferSchema, type Schema } from '../schema.ts'
import { OutgoingLane } from './lane.ts'
import type { WhenFull } from './outbox.ts'

/** What a series needs of its publisher. */
export interface SeriesHost {
  readonly frameBytes: number
  hasRoom(bytes: number): boolean
  /** Makes room by dropping the oldest frames of the stream; false when there is none to drop. */
  dropOldest(stream: string, bytes: number): boolean
  /** The sample is in the outbox from here on. Returns its place in the outbox log, if there is one. */
  accept(series: Series, sample: Sample, bytes: number): number | undefined
  /** As accept, for a sample that is in the outbox log already. */
  adopted(bytes: number): void
  /** Samples are waiting: see that seal() is called soon. */
  schedule(series: Series): void
  seal(series: Series): void
  /**
   * Puts samples in the outbox as one frame, past what series gather.
   * @throws MeshError: then none of them was taken.
   */
  sealWhole(series: Series, samples: readonly Sample[], firstUs: number, lastUs: number): void
  dropped(lane: OutgoingLane, reason: 'oldest' | 'newest' | 'refused', samples: number): void
}

export class Series {
  readonly source: string
  readonly stream: string
  lane: OutgoingLane
  schema: Schema | undefined
  /** Samples not yet sealed, and their places in the outbox log. */
  open: Sample[] = []
  openOrdinals: number[] = []
  openBytes = 0
  openedAtMs = 0
  private readonly host: SeriesHost
  private readonly whenFull: WhenFull
  private readonly declared: boolean
  private firstUs = Number.POSITIVE_INFINITY
  private lastUs = 0

  constructor(
    host: SeriesHost,
    options: {
      source: string
      stream: string
      epoch: Epoch
      schema: Schema | undefined
      whenFull: WhenFull
    },
  ) {
    this.host = host
    this.source = options.source
    this.stream = options.stream
    this.lane = new OutgoingLane(options.source, options.stream, options.epoch)
    this.schema = options.schema
    this.declared = options.schema !== undefined
    this.whenFull = options.whenFull
  }

  /**
   * Puts one sample in the outbox. The sample must not be changed afterwards. Returns false when the
   * outbox is full and the stream's answer is `refuse`: the sample was not taken.
   * @throws MeshError MESH_SAMPLE_INVALID when it breaks the stream's schema or its time is no time,
   * MESH_OUTBOX_WRITE_FAILED when the outbox log cannot be written.
   */
  publish(sample: Sample): boolean {
    if (!isTime(sample.timeUs)) this.refuseTime(sample.timeUs)
    this.fit(sample)
    const bytes = sampleBytes(sample)
    if (!this.host.hasRoom(bytes) && !this.makeRoom(bytes)) return this.whenFull !== 'refuse'
    const ordinal = this.host.accept(this, sample, bytes)
    this.append(sample, bytes, ordinal)
    return true
  }

  /**
   * Publishes samples as exactly one frame, whatever the bounds for gathering say. All are taken or
   * none, also by a crash: a disk outbox gets them as a sealed frame, in one record. False when the
   * outbox has no room for all of them.
   * @throws MeshError MESH_SAMPLE_INVALID; MESH_FRAME_TOO_LARGE or RangeError when they cannot stand in
   * one frame; MESH_OUTBOX_WRITE_FAILED.
   */
  publishFrame(samples: readonly Sample[]): boolean {
    let bytes = 0
    let firstUs = Number.POSITIVE_INFINITY
    let lastUs = 0
    for (const sample of samples) {
      if (!isTime(sample.timeUs)) this.refuseTime(sample.timeUs)
      this.fit(sample)
      bytes += sampleBytes(sample)
      firstUs = Math.min(firstUs, sample.timeUs)
      lastUs = Math.max(lastUs, sample.timeUs)
    }
    if (samples.length > FRAME_SAMPLES_MAX || lastUs - firstUs > FRAME_SPAN_US_MAX) {
      throw new RangeError(`${samples.length} samples over ${lastUs - firstUs} µs are no frame`)
    }
    if (!this.host.hasRoom(bytes)) return false
    if (this.open.length > 0) this.host.seal(this)
    if (samples.length > 0) this.host.sealWhole(this, samples, firstUs, lastUs)
    return true
  }

  /**
   * As publish, for a sample that an earlier life accepted: it is in the outbox log already.
   * @throws MeshError MESH_SAMPLE_INVALID when the stream's schema is stricter now.
   */
  adopt(sample: Sample, ordinal: number): void {
    this.fit(sample)
    const bytes = sampleBytes(sample)
    this.host.adopted(bytes)
    this.append(sample, bytes, ordinal)
  }

  /** Hands over what is open and starts afresh. */
  take(): {
    samples: Sample[]
    ordinals: number[]
    bytes: number
    firstUs: number
    lastUs: number
  } {
    const { open: samples, openOrdinals: ordinals, openBytes: bytes, firstUs, lastUs } = this
    this.open = []
    this.openOrdinals = []
    this.openBytes = 0
    this.firstUs = Number.POSITIVE_INFINITY
    this.lastUs = 0
    return { samples, ordinals, bytes, firstUs, lastUs }
  }

  private append(sample: Sample, bytes: number, ordinal: number | undefined): void {
    const { timeUs } = sample
    const spanUs = Math.max(this.lastUs, timeUs) - Math.min(this.firstUs, timeUs)
    if (this.open.length > 0 && spanUs > FRAME_SPAN_US_MAX) this.host.seal(this)
    this.push(sample, bytes, ordinal)
    if (this.openBytes >= this.host.frameBytes || this.open.length >= FRAME_SAMPLES_MAX) {
      this.host.seal(this)
    } else if (this.open.length === 1) {
      this.host.schedule(this)
    }
  }

  private push(sample: Sample, bytes: number, ordinal: number | undefined): void {
    const { timeUs } = sample
    this.open.push(sample)
    if (ordinal !== undefined) this.openOrdinals.push(ordinal)
    this.openBytes += bytes
    if (timeUs < this.firstUs) this.firstUs = timeUs
    if (timeUs > this.lastUs) this.lastUs = timeUs
  }

  /** Sees that the sample fits the schema; an inferred one grows until it does. */
  private fit(sample: Sample): void {
    const fault = this.schema?.validate(sample.fields)
    if (this.schema !== undefined && fault === undefined) return
    if (this.declared) {
      throw new MeshError(
        'MESH_SAMPLE_INVALID',
        `sample of ${this.stream} (${this.source}): ${fault}`,
        {
          details: { stream: this.stream, source: this.source },
        },
      )
    }
    const schema = inferSchema([sample], this.schema)
    // A frame has one schema: what was gathered under the narrower one goes first.
    if (this.open.length > 0) this.host.seal(this)
    this.schema = schema
  }

  private makeRoom(bytes: number): boolean {
    if (this.whenFull === 'drop-oldest' && this.host.dropOldest(this.stream, bytes)) return true
    if (this.whenFull === 'refuse') {
      this.host.dropped(this.lane, 'refused', 1)
      return false
    }
    if (this.open.length > 0) this.host.seal(this)
    const { lane } = this
    if (lane.droppedAt !== lane.lastSequence || lane.lastSequence === 0) {
      lane.droppedAt = lane.nextSequence()
    }
    lane.skip(lane.droppedAt, 1)
    this.host.dropped(this.lane, 'newest', 1)
    return false
  }

  private refuseTime(timeUs: number): never {
    throw new MeshError(
      'MESH_SAMPLE_INVALID',
      `sample of ${this.stream} (${this.source}): time ${timeUs} is not a whole number of microseconds since 1970`,
      { details: { stream: this.stream, source: this.source, timeUs } },
    )
  }
}

const isTime = (timeUs: number): boolean => Number.isSafeInteger(timeUs) && timeUs >= 0

/** What a sample takes before encoding, roughly: a bound for batching and for the outbox. */
function sampleBytes(sample: Sample): number {
  let bytes = 16
  for (const name in sample.fields) {
    const value = sample.fields[name]
    bytes += typeof value === 'string' ? 8 + 2 * value.length : 8
  }
  return bytes
}
