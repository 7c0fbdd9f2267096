// One column of strings (docs/wire-format.md, "Strings"): each in full, or a dictionary and packed
// indexes when enough of them repeat.
import { bitWidth, pack, unpack } from './bits.ts'
import { type ByteReader, type ByteWriter, corrupt } from './bytes.ts'

const PLAIN = 0
const DICTIONARY = 1

/** Kept from frame to frame, so that a column of strings costs no new Map. */
export class TextScratch {
  readonly entries = new Map<string, number>()
  indexes = new Float64Array(256)
}

/** Appends the texts, at least one; all well-formed. */
export function writeTexts(out: ByteWriter, texts: readonly string[], scratch: TextScratch): void {
  const count = texts.length
  if (count === 1) {
    out.u8(PLAIN)
    out.text(texts[0]!)
    return
  }
  const { entries } = scratch
  if (scratch.indexes.length < count) scratch.indexes = new Float64Array(count)
  let repeated = 0
  for (let i = 0; i < count; i++) {
    const text = texts[i]!
    let index = entries.get(text)
    if (index === undefined) {
      index = entries.size
      entries.set(text, index)
    } else {
      repeated += text.length + 1
    }
    scratch.indexes[i] = index
  }
  const width = bitWidth(entries.size - 1)
  if (repeated * 8 > count * width + 16) {
    out.u8(DICTIONARY)
    out.varint(entries.size)
    for (const text of entries.keys()) out.text(text)
    pack(out, scratch.indexes, 0, count, 0, width)
  } else {
    out.u8(PLAIN)
    for (let i = 0; i < count; i++) out.text(texts[i]!)
  }
  entries.clear()
}

/** @throws MeshError MESH_BODY_CORRUPT when they are not there. */
export function readTexts(input: ByteReader, count: number, scratch: TextScratch): string[] {
  const coding = input.u8()
  const texts: string[] = []
  if (coding === PLAIN) {
    for (let i = 0; i < count; i++) texts.push(input.text())
    return texts
  }
  if (coding !== DICTIONARY) throw corrupt(`strings coded as ${coding}`)
  const size = input.varint()
  if (size < 1 || size > count) throw corrupt(`dictionary of ${size} for ${count} strings`)
  const entries: string[] = []
  for (let i = 0; i < size; i++) entries.push(input.text())
  if (scratch.indexes.length < count) scratch.indexes = new Float64Array(count)
  unpack(input, scratch.indexes, 0, count, bitWidth(size - 1))
  for (let i = 0; i < count; i++) {
    const text = entries[scratch.indexes[i]!]
    if (text === undefined) throw corrupt(`string ${scratch.indexes[i]} of a dictionary of ${size}`)
    texts.push(text)
  }
  return texts
}
