import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Random } from './clock.ts'
import {
  checkName,
  type Epoch,
  epochStartUs,
  laneKey,
  NAME_BYTES_MAX,
  newEpoch,
  newPeerId,
  newStoreId,
  parseLaneKey,
} from './names.ts'

const RANDOM: Random = {
  next: () => 0.5,
  bytes: (length) => new Uint8Array(length).fill(0xab),
}

describe('ids', () => {
  it('are 16 hex digits', () => {
    expect(newPeerId(RANDOM)).toBe('abababababababab')
    expect(newStoreId(RANDOM)).toBe('abababababababab')
  })
})

describe('epoch', () => {
  it('holds the millisecond it began, then two random bytes', () => {
    const epoch = newEpoch(1_790_000_000_123_999, RANDOM)
    expect(epoch).toBe('01a0c4506c7babab')
    expect(epochStartUs(epoch)).toBe(1_790_000_000_123_000)
  })

  it('sorts by time', () => {
    const epochs = [0, 1000, 255_000, 256_000, 1_790_000_000_000_000, (2 ** 48 - 1) * 1000].map(
      (us) => newEpoch(us, RANDOM),
    )
    expect([...epochs].sort()).toEqual(epochs)
  })

  it('refuses a time that does not fit', () => {
    expect(() => newEpoch(-1, RANDOM)).toThrow(RangeError)
    expect(() => newEpoch(2 ** 48 * 1000, RANDOM)).toThrow(RangeError)
    expect(() => newEpoch(NaN, RANDOM)).toThrow(RangeError)
  })
})

describe('lane key', () => {
  it('gives back source, stream and epoch, whatever the source is called', () => {
    const source = fc.string({ unit: 'binary', minLength: 1, maxLength: 60 })
    fc.assert(
      fc.property(source, fc.stringMatching(/^[\w.-]{1,40}$/), (source, stream) => {
        const epoch = '0192a1b2c3d4e5f6' as Epoch
        expect(parseLaneKey(laneKey(source, stream, epoch))).toEqual({ source, stream, epoch })
      }),
    )
  })

  it('tells lanes apart whose names run together', () => {
    const epoch = '0192a1b2c3d4e5f6' as Epoch
    expect(laneKey('ab', 'c', epoch)).not.toBe(laneKey('a', 'bc', epoch))
  })
})

describe('checkName', () => {
  it('returns the name it was given', () => {
    expect(checkName('source', 'Straße 7 / Süd')).toBe('Straße 7 / Süd')
    expect(checkName('stream', 'city.air_2-b')).toBe('city.air_2-b')
  })

  it.each([
    ['source', ''],
    ['source', 'x'.repeat(NAME_BYTES_MAX + 1)],
    ['source', 'é'.repeat(128)],
    ['source', '\udfff'],
    ['stream', 'a/b'],
    ['stream', 'a b'],
    ['stream', 'ä'],
    ['stream', 'a\n'],
  ] as const)('refuses the %s %j', (what, name) => {
    expect(() => checkName(what, name)).toThrow(RangeError)
  })
})
