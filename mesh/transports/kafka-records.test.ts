import fc from 'fast-check'
import * as kafka from '@platformatic/kafka'
import { describe, expect, it } from 'vitest'
import { HEAD_BYTES, decodeBatches, encodeBatch, recordBytes } from './kafka-records.ts'

interface Read {
  readonly offset: number
  readonly key: string
  readonly value: Buffer
}

function encode(values: readonly Uint8Array[], key = 't/1/x'): Buffer {
  const entries = values.map((value) => ({ key: Buffer.from(key), value }))
  return encodeBatch(entries, 1_700_000_000_000, kafka.crc32c)
}

function decode(bytes: Buffer, from = 0): { next: number; records: Read[]; rejected: number } {
  const records: Read[] = []
  let rejected = 0
  const next = decodeBatches(bytes, from, {
    record: (offset, key, value) => records.push({ offset, key: key.toString(), value }),
    rejected: (count) => (rejected += count),
  })
  return { next, records, rejected }
}

/** As the broker does it, which gives the offsets. */
function at(offset: number, batch: Buffer): Buffer {
  const placed = Buffer.from(batch)
  placed.writeBigInt64BE(BigInt(offset), 0)
  return placed
}

const values = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 200 })

describe('record batches', () => {
  it('what is encoded - the client library decodes, with the right checksum', () => {
    fc.assert(
      fc.property(values, (sent) => {
        const bytes = encode(sent)
        const batch = kafka.readRecordsBatch(kafka.Reader.from(bytes))
        expect(batch.crc).toBe(kafka.crc32c(bytes.subarray(21)))
        expect(batch.records.map(({ value }) => [...value!])).toEqual(sent.map((each) => [...each]))
        expect(batch.records.every(({ key }) => key!.toString() === 't/1/x')).toBe(true)
      }),
    )
  })

  it('what the client library encodes - is decoded', () => {
    fc.assert(
      fc.property(values, (sent) => {
        const messages = sent.map((value) => ({
          topic: 'x',
          key: Buffer.from('t/1/x'),
          value: Buffer.from(value),
        }))
        const { next, records } = decode(kafka.createRecordsBatch(messages).buffer)
        expect(next).toBe(sent.length)
        expect(records.map(({ value }) => [...value])).toEqual(sent.map((each) => [...each]))
      }),
    )
  })

  it('a compressed batch with a producer - is decoded, here and by the client library', () => {
    fc.assert(
      fc.property(values, (sent) => {
        const entries = sent.map((value) => ({ key: Buffer.from('t/1/x'), value }))
        const producer = { id: 7n, epoch: 2, sequence: 40 }
        const options = { producer, compress: true }
        const bytes = encodeBatch(entries, 1_700_000_000_000, kafka.crc32c, options)
        const batch = kafka.readRecordsBatch(kafka.Reader.from(bytes))
        expect(batch.crc).toBe(kafka.crc32c(bytes.subarray(21)))
        expect([batch.producerId, batch.producerEpoch, batch.firstSequence]).toEqual([7n, 2, 40])
        expect(batch.records.map(({ value }) => [...value!])).toEqual(sent.map((each) => [...each]))
        expect(decode(bytes).records.map(({ value }) => [...value])).toEqual(
          sent.map((each) => [...each]),
        )
      }),
    )
  })

  it('the bytes that a record is said to add - are those it adds', () => {
    fc.assert(
      fc.property(values, (sent) => {
        const entries = sent.map((value) => ({ key: Buffer.from('t/1/x'), value }))
        const sizes = entries.map(recordBytes)
        expect(encode(sent).length).toBe(sizes.reduce((sum, size) => sum + size, HEAD_BYTES))
      }),
    )
  })

  it('a large value and a long batch - keep their lengths', () => {
    const large = Buffer.alloc(8 * 1024 * 1024, 5)
    expect(decode(encode([large])).records[0]!.value.equals(large)).toBe(true)
    const many = Array.from({ length: 20_000 }, () => Buffer.alloc(1))
    expect(decode(encode(many)).records.at(-1)!.offset).toBe(19_999)
  })

  it('from the middle of a batch - what comes before is left out', () => {
    const bytes = at(100, encode([Buffer.from('a'), Buffer.from('b'), Buffer.from('c')]))
    const { next, records } = decode(bytes, 101)
    expect(next).toBe(103)
    expect(records.map(({ offset, value }) => [offset, value.toString()])).toEqual([
      [101, 'b'],
      [102, 'c'],
    ])
  })

  it('a batch cut off at the end - is left for the next fetch', () => {
    const whole = at(0, encode([Buffer.from('a')]))
    const cut = at(1, encode([Buffer.from('b')])).subarray(0, -1)
    const { next, records } = decode(Buffer.concat([whole, cut]))
    expect(next).toBe(1)
    expect(records.length).toBe(1)
  })

  it('a batch of another compression, and a record without key - are counted and passed over', () => {
    const messages = [{ topic: 'x', key: Buffer.from('t/1/x'), value: Buffer.from('a') }]
    const compressed = kafka.createRecordsBatch(messages, { compression: 'gzip' }).buffer
    const keyless = kafka.createRecordsBatch([{ topic: 'x', value: Buffer.from('b') }]).buffer
    const good = encode([Buffer.from('c')])
    const bytes = Buffer.concat([at(0, compressed), at(1, keyless), at(2, good)])
    const { next, records, rejected } = decode(bytes)
    expect([next, rejected]).toEqual([3, 2])
    expect(records.map(({ value }) => value.toString())).toEqual(['c'])
  })

  it.each([false, true])(
    'damaged bytes, compressed: %s - never throw, never go back',
    (compress) => {
      const sent = [Buffer.alloc(20), Buffer.alloc(200), Buffer.alloc(3)]
      const entries = sent.map((value) => ({ key: Buffer.from('t/1/x'), value }))
      const bytes = encodeBatch(entries, 1_700_000_000_000, kafka.crc32c, { compress })
      const damage = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 8 })
      fc.assert(
        fc.property(damage, (changes) => {
          const damaged = Buffer.from(bytes)
          for (const [index, byte] of changes) damaged[index] = byte
          expect(decode(damaged, 5).next).toBeGreaterThanOrEqual(5)
        }),
      )
    },
  )

  it('any bytes - never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (garbage) => {
        decode(Buffer.from(garbage))
      }),
    )
  })
})
