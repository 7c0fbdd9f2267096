// Makes frames of what series have gathered, gives them their names, and puts them in the outbox; and
// the frames that only speak of others: skip and end. A name once given is never given again, so what
// cannot be written to the outbox log is not named yet.
import type { Codec } from '../codec.ts'
import { codecFor, createColumnarCodec } from '../codecs/index.ts'
import { MeshError } from '../errors.ts'
import { frameBytesMax } from '../message.ts'
import { encodeFrame, FRAME_SAMPLES_MAX, NO_SCHEMA, openFrame, type FrameHeader } from '../frame.ts'
import type { FramePosition } from '../outbox/log.ts'
import type { Sample } from '../sample.ts'
import type { SchemaExchange } from '../schema-exchange.ts'
import type { Schema } from '../schema.ts'
import { Entry } from './entry.ts'
import type { OutgoingLane } from './lane.ts'
import type { PublisherCounters, PublisherOptions } from './options.ts'
import type { Outbox } from './outbox.ts'
import type { Series } from './series.ts'

/** What a series has gathered for one frame. */
interface Batch {
  readonly series: Series
  readonly schema: Schema
  readonly samples: readonly Sample[]
  /** Their places in the outbox log, where they are in it. */
  readonly ordinals: readonly number[]
  readonly firstUs: number
  readonly lastUs: number
}

/** One that is accepted: its samples count as open until it is sealed. */
interface OpenBatch extends Batch {
  readonly bytes: number
}

export interface SealerParts {
  readonly options: PublisherOptions
  readonly outbox: Outbox
  readonly schemas: SchemaExchange
  readonly counters: PublisherCounters
  /** The frame has its name and is in the outbox: it is to be sent. */
  readonly onSealed: (entry: Entry) => void
  /** Whether enough stores can be reached to get rid of frames. */
  readonly canDeliver: () => boolean
}

export class Sealer {
  private readonly parts: SealerParts
  private readonly columnar: Codec
  /** Taken from their series, oldest first: empty but while the outbox log cannot be written. */
  private batches: OpenBatch[] = []
  /** Why the first of them could not be written. */
  private failure: MeshError | undefined
  private waiters: (() => void)[] = []
  /** Lanes with dropped sequences that no skip frame lists yet. */
  private readonly skipping = new Set<OutgoingLane>()

  constructor(parts: SealerParts) {
    this.parts = parts
    this.columnar = createColumnarCodec({ compress: parts.options.compress ?? false })
  }

  /** Samples wait for the outbox log: it cannot be written. */
  get isStuck(): boolean {
    return this.batches.length > 0
  }

  /** Takes what a series holds and makes a frame of it. */
  seal(series: Series): void {
    if (series.open.length === 0) return
    this.batches.push({ series, schema: series.schema!, ...series.take() })
    this.sealBatches()
  }

  /**
   * Makes one frame of samples that the outbox does not hold yet. One record of its log holds all of
   * them, so no failure and no crash leaves a part.
   * @throws MeshError MESH_OUTBOX_WRITE_FAILED, MESH_FRAME_TOO_LARGE: then nothing has changed.
   */
  sealWhole(series: Series, samples: readonly Sample[], firstUs: number, lastUs: number): void {
    this.sealBatches()
    // What waits for the log was accepted before: nothing may pass it.
    if (this.isStuck) throw this.failure!
    this.sealBatch({ series, schema: series.schema!, samples, ordinals: [], firstUs, lastUs })
  }

  /** Tries again what could not be written, and lists what was dropped once that can be delivered. */
  retry(): void {
    this.sealBatches()
    if (this.skipping.size === 0 || !this.parts.canDeliver()) return
    for (const lane of this.skipping) if (!this.attempt(() => this.sealSkips(lane))) break
  }

  /** Resolves when all that was accepted is in sealed frames. */
  async written(): Promise<void> {
    if (!this.isStuck) return
    await new Promise<void>((resolve) => this.waiters.push(resolve))
  }

  /** Sequences of this lane were dropped: a skip frame is to list them. */
  dropped(lane: OutgoingLane): void {
    this.skipping.add(lane)
  }

  /** Closes a lane: nothing follows. A lane that never had a frame needs no end. */
  end(lane: OutgoingLane): boolean {
    return this.attempt(() => {
      this.sealSkips(lane)
      if (lane.ended || lane.lastSequence === 0) return
      const empty = { codec: 'none', firstUs: 0, lastUs: 0, count: 0, schemaId: NO_SCHEMA } as const
      this.name(lane, { kind: 'end', ...empty }, Buffer.alloc(0))
      lane.ended = true
    })
  }

  /** Gives a frame whose name is taken another one, in `lane`. False when it must be tried again. */
  rename(entry: Entry, lane: () => OutgoingLane): boolean {
    return this.attempt(() => {
      const frame = openFrame(this.parts.outbox.bytesOf(entry))
      const renamed = this.name(lane(), frame, frame.body, [], entry)
      renamed.timesUs = entry.timesUs
    })
  }

  /** No frame can hold this sample, or its schema is stricter now: it is given up, and that is told. */
  unfit(
    { stream, source }: { stream: string; source: string },
    sample: Sample,
    ordinals: readonly number[],
    error: MeshError,
  ): void {
    const { counters, options, outbox } = this.parts
    counters.samplesUnfit += 1
    outbox.log?.dropSamples(ordinals)
    options.onUnfit?.({ stream, source, sample, error })
  }

  /**
   * Seals what was taken, in order. While the outbox log cannot be written (disk full) the rest waits
   * for the next try: it is accepted, and what comes after it must not pass it.
   */
  private sealBatches(): void {
    for (let batch = this.batches.shift(); batch !== undefined; batch = this.batches.shift()) {
      try {
        this.sealBatch(batch)
        this.parts.outbox.samplesSealed(batch.samples.length, batch.bytes)
      } catch (error) {
        if (!(error instanceof MeshError)) throw error
        if (error.code === 'MESH_OUTBOX_WRITE_FAILED') {
          this.batches.unshift(batch)
          this.failure = error
          return
        }
        if (batch.samples.length > 1) this.batches.unshift(...halves(batch))
        else this.giveUp(batch, error)
      }
    }
    for (const resolve of this.waiters.splice(0)) resolve()
  }

  private giveUp({ series, samples, ordinals, bytes }: OpenBatch, error: MeshError): void {
    this.parts.outbox.samplesSealed(1, bytes)
    this.unfit(series, samples[0]!, ordinals, error)
  }

  /** Makes a frame and gives it its name. @throws MeshError: then nothing has changed. */
  private sealBatch({ series, schema, samples, ordinals, firstUs, lastUs }: Batch): void {
    const { outbox, schemas, options, canDeliver } = this.parts
    const { lane } = series
    schemas.add(schema)
    outbox.log?.appendSchema(schema)
    // While nobody can be reached runs of dropped frames keep growing: list them once that ends.
    if (this.skipping.size > 0 && canDeliver()) this.sealSkips(lane)
    const codec = this.codecOf(series.stream)
    const body = codec.encode(samples, schema)
    const header = { kind: 'data', codec: codec.name, firstUs, lastUs } as const
    const named = { ...header, count: samples.length, schemaId: schema.id }
    const entry = this.name(lane, named, body, ordinals)
    if (options.onReceipt !== undefined) entry.timesUs = samples.map(({ timeUs }) => timeUs)
  }

  private codecOf(stream: string): Codec {
    const { codecOf, codec } = this.parts.options
    const name = codecOf?.(stream) ?? codec ?? 'columnar'
    return name === 'columnar' ? this.columnar : codecFor(name)
  }

  /** Tells readers which sequences of this lane were dropped. */
  private sealSkips(lane: OutgoingLane): void {
    if (lane.skips.length > 0 && !lane.ended) {
      const runs = lane.skips.map(({ from, to, samples }) => [from, to, samples])
      const dropped = lane.skips.reduce((sum, { samples }) => sum + samples, 0)
      const count = Math.min(dropped, FRAME_SAMPLES_MAX)
      const nowUs = this.parts.options.clock.nowUs()
      const header = { kind: 'skip', codec: 'json', firstUs: nowUs, lastUs: nowUs } as const
      const body = Buffer.from(JSON.stringify({ runs }))
      this.name(lane, { ...header, count, schemaId: NO_SCHEMA }, body)
      lane.skips = []
    }
    this.skipping.delete(lane)
  }

  /**
   * Gives a frame the next sequence of its lane and puts it in the outbox.
   * @throws MeshError MESH_OUTBOX_WRITE_FAILED, MESH_FRAME_TOO_LARGE: then the name is not given.
   */
  private name(
    lane: OutgoingLane,
    header: Omit<FrameHeader, 'source' | 'stream' | 'epoch' | 'sequence'>,
    body: Uint8Array,
    ordinals: readonly number[] = [],
    inPlaceOf?: Entry,
  ): Entry {
    const { outbox, onSealed } = this.parts
    const sequence = lane.lastSequence + 1
    const { source, stream, epoch, key } = lane
    const named = { ...header, source, stream, epoch, sequence }
    const bytes = encodeFrame(named, body, key, (size) => outbox.slabs.allocate(size))
    const position = this.keep(bytes, lane, ordinals)
    lane.lastSequence = sequence
    const { kind, count, schemaId } = header
    const size = bytes.length
    const entry = new Entry({ lane, sequence, kind, schemaId, count, size, bytes, position })
    outbox.add(entry, inPlaceOf)
    onSealed(entry)
    return entry
  }

  /** Writes a frame to the outbox log, where there is one. @throws MeshError: then its memory is free again. */
  private keep(
    frame: Buffer,
    { stream, source }: OutgoingLane,
    ordinals: readonly number[],
  ): FramePosition | undefined {
    const { log, slabs } = this.parts.outbox
    try {
      this.checkSize(frame.length, stream, source)
      return log?.appendSeal(frame, ordinals)
    } catch (error) {
      slabs.release(frame)
      throw error
    }
  }

  /** A frame that the transport does not take would stay in the outbox for ever. */
  private checkSize(bytes: number, stream: string, source: string): void {
    const { transport } = this.parts.options
    const most = frameBytesMax(transport)
    if (bytes <= most) return
    throw new MeshError(
      'MESH_FRAME_TOO_LARGE',
      `frame of ${bytes} bytes exceeds the ${most} that ${transport.name} takes (${stream} of ${source})`,
    )
  }

  /** False when the outbox log cannot be written now: what was to be written must be tried again. */
  private attempt(write: () => void): boolean {
    try {
      write()
      return true
    } catch (error) {
      if (error instanceof MeshError && error.code === 'MESH_OUTBOX_WRITE_FAILED') return false
      throw error
    }
  }
}

function halves(batch: OpenBatch): OpenBatch[] {
  const { samples, ordinals, bytes } = batch
  const middle = samples.length >>> 1
  return [
    { from: 0, to: middle, bytes: bytes >>> 1 },
    { from: middle, to: samples.length, bytes: bytes - (bytes >>> 1) },
  ].map(({ from, to, bytes }) => {
    const part = samples.slice(from, to)
    const times = part.map(({ timeUs }) => timeUs)
    return {
      ...batch,
      samples: part,
      ordinals: ordinals.slice(from, to),
      bytes,
      firstUs: Math.min(...times),
      lastUs: Math.max(...times),
    }
  })
}
