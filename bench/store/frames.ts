// Frames made before the clock runs: the same bytes for every system, and nobody pays for encoding while
// it is measured. Sources have theirs in turn, so that the same frames again only need higher sequences: a
// file holds few of them, and a feed repeats them in memory before it begins, which leaves the disk alone.
//
//   | length u32 | frame | length u32 | frame | …
import { readFileSync, writeFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { frameName } from '../../mesh/frame.ts'
import { LANE_KEY_HEAD_BYTES } from '../../mesh/names.ts'
import {
  compileSchema,
  encodeFrame,
  laneKey,
  newEpoch,
  systemClock,
  systemRandom,
  type CodecName,
  type JsonSchema,
  type LaneKey,
  type Sample,
  type Schema,
} from '../../mesh/index.ts'

const LENGTH_BYTES = 4
/** In a frame's header (docs/wire-format.md). */
const CRC_AT = 4
const CRC_FROM = 8
const SEQUENCE_AT = 16
/** Encoded at most where they are repeated, about. */
const ENCODED_BYTES_MAX = 16 << 20

/** The frames of a file and their repeats; travels as JSON. */
export interface FrameSet {
  readonly path: string
  readonly stream: string
  readonly schema: JsonSchema
  readonly sources: readonly string[]
  readonly samplesPerFrame: number
  /** What the file holds counts once for each. */
  readonly repeats: number
  /** As many of each source; of all repeats. */
  readonly frames: number
  /** Of the frames alone; of all repeats. */
  readonly bytes: number
}

export interface FrameSetOptions extends Pick<
  FrameSet,
  'path' | 'stream' | 'schema' | 'sources' | 'samplesPerFrame'
> {
  readonly codec: {
    readonly name: CodecName
    /** The body is valid until the next call. */
    encode(samples: readonly Sample[], schema: Schema): Uint8Array
  }
  /** Bytes that are wanted; absent: all that the samples give, once. */
  readonly bytesWanted?: number
}

/** A frame's samples for each source, in the order of the sources. */
export type Turn = readonly (readonly Sample[])[]

/** Encodes the turns, one epoch, sequences by source. */
export function makeFrames(options: FrameSetOptions, turns: Iterable<Turn>): FrameSet {
  const { path, stream, sources, samplesPerFrame, schema, bytesWanted } = options
  const encode = turnEncoder(options)
  const encoded: Buffer[] = []
  const encodedMax = Math.min(ENCODED_BYTES_MAX, bytesWanted ?? Infinity)
  let [sequence, bytes] = [0, 0]
  for (const turn of turns) {
    sequence += 1
    for (const frame of encode(turn, sequence)) {
      const length = Buffer.alloc(LENGTH_BYTES)
      length.writeUInt32LE(frame.length)
      encoded.push(length, frame)
      bytes += frame.length
    }
    if (bytesWanted !== undefined && bytes >= encodedMax) break
  }
  writeFileSync(path, Buffer.concat(encoded))
  const repeats = bytesWanted === undefined ? 1 : Math.ceil(bytesWanted / bytes)
  const frames = sequence * sources.length * repeats
  return { path, stream, schema, sources, samplesPerFrame, repeats, frames, bytes: bytes * repeats }
}

function turnEncoder({ stream, sources, schema: json, codec }: FrameSetOptions) {
  const schema = compileSchema(json)
  const epoch = newEpoch(systemClock.nowUs(), systemRandom)
  const keys = sources.map((source) => laneKey(source, stream, epoch))
  return (turn: Turn, sequence: number): Buffer[] =>
    turn.map((samples, i) => {
      const header = {
        kind: 'data',
        codec: codec.name,
        source: sources[i]!,
        stream,
        epoch,
        sequence,
        firstUs: samples[0]!.timeUs,
        lastUs: samples.at(-1)!.timeUs,
        count: samples.length,
        schemaId: schema.id,
      } as const
      return encodeFrame(header, codec.encode(samples, schema), keys[i])
    })
}

type FrameSetContents = Pick<FrameSet, 'path' | 'frames' | 'sources' | 'repeats'>

/** All frames of a set, in memory, and the passes after it: the same frames with higher sequences. */
export class Frames {
  readonly count: number
  readonly sources: readonly string[]
  private readonly slab: Buffer
  private readonly offsets: Float64Array
  /** The frames of each source. */
  private readonly turns: number
  private readonly sourceByName = new Map<string, number>()

  constructor({ path, frames, sources, repeats }: FrameSetContents) {
    const encoded = readFileSync(path)
    this.slab = Buffer.allocUnsafeSlow(encoded.length * repeats)
    this.count = frames
    this.sources = sources
    this.turns = frames / sources.length
    this.offsets = new Float64Array(frames + 1)
    this.offsets[0] = LENGTH_BYTES
    for (let repeat = 0; repeat < repeats; repeat++) {
      encoded.copy(this.slab, repeat * encoded.length)
    }
    for (let i = 0; i < frames; i++) {
      const length = this.slab.readUInt32LE(this.offsets[i]! - LENGTH_BYTES)
      this.offsets[i + 1] = this.offsets[i]! + length + LENGTH_BYTES
      const repeat = Math.floor((i * repeats) / frames)
      if (repeat > 0) advance(this.frame(i, 0), (repeat * this.turns) / repeats)
    }
    for (let i = 0; i < sources.length; i++) {
      this.sourceByName.set(namesIn(frameName(this.frame(i, 0)).key), i)
    }
  }

  /** A view, or in a pass after the first a copy. */
  frame(index: number, pass: number): Buffer {
    const at = this.offsets[index]!
    const frame = this.slab.subarray(at, at + this.bytesOf(index))
    return pass === 0 ? frame : advance(Buffer.from(frame), pass * this.turns)
  }

  bytesOf(index: number): number {
    return this.offsets[index + 1]! - this.offsets[index]! - LENGTH_BYTES
  }

  /** Into `sources`. */
  sourceOf(index: number): number {
    return index % this.sources.length
  }

  /** Of the frames of a lane in a run of sequences. */
  bytesOfEach(key: LaneKey, first: number, last: number): number[] {
    const source = this.sourceByName.get(namesIn(key))
    if (source === undefined) return []
    const sizes: number[] = []
    for (let sequence = first; sequence <= last; sequence++) {
      const turn = (sequence - 1) % this.turns
      sizes.push(this.bytesOf(turn * this.sources.length + source))
    }
    return sizes
  }
}

/** Makes another frame of it, so many sequences on. */
function advance(frame: Buffer, sequences: number): Buffer {
  frame.writeUIntLE(frame.readUIntLE(SEQUENCE_AT, 6) + sequences, SEQUENCE_AT, 6)
  frame.writeUInt32LE(crc32(frame.subarray(CRC_FROM)), CRC_AT)
  return frame
}

/** Source and stream stand behind the epoch, which is the same for all. */
const namesIn = (key: LaneKey): string => key.slice(LANE_KEY_HEAD_BYTES)
