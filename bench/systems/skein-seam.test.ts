import { describe, expect, it } from 'vitest'
import type { LiveFrame } from '../../mesh/index.ts'
import type { Row } from '../../storage/index.ts'
import { Seam } from './skein-seam.ts'

const EPOCH = '0197df1c2a3b4c5d'

/** A frame of two samples, of which sequence and index show in the time. */
function frame(sequence: number, source = 'bus'): LiveFrame {
  const samples = [0, 1].map((index) => ({ timeUs: sequence * 10 + index, fields: {} }))
  return { source, epoch: EPOCH, sequence, samples } as unknown as LiveFrame
}

function row(sequence: number, index: number, source = 'bus'): Row {
  return { source, epoch: EPOCH, sequence, index, timeUs: sequence * 10 + index, fields: {} } as Row
}

const rows = (...sequences: number[]): Row[] =>
  sequences.flatMap((sequence) => [row(sequence, 0), row(sequence, 1)])

describe('where history and live meet', () => {
  it('a frame that came live is not taken from the stores', () => {
    const seam = new Seam()
    expect(seam.takeLive(frame(3))).toHaveLength(2)
    expect(rows(2, 3).map((each) => seam.takeRow(each))).toEqual([true, true, false, false])
  })

  it('of a frame that the stores gave in part the rest is taken', () => {
    const seam = new Seam()
    seam.takeRow(row(3, 0))
    expect(seam.takeLive(frame(3)).map(({ timeUs }) => timeUs)).toEqual([31])
    expect(seam.takeRow(row(3, 1))).toBe(false)
  })

  it('a row that the stores give again is not taken', () => {
    const seam = new Seam()
    expect([row(1, 0), row(1, 0)].map((each) => seam.takeRow(each))).toEqual([true, false])
  })

  it('is open until live has begun, from the last that the stores gave', () => {
    const seam = new Seam()
    expect(seam.openFromUs()).toBe(0)
    for (const each of rows(1, 2)) seam.takeRow(each)
    expect(seam.openFromUs()).toBe(21)
    seam.takeLive(frame(3))
    expect(seam.openFromUs()).toBeUndefined()
  })

  it('is open as long as a frame between them is missing', () => {
    const seam = new Seam()
    for (const each of rows(1, 2)) seam.takeRow(each)
    seam.takeLive(frame(5))
    for (const each of rows(4)) seam.takeRow(each)
    expect(seam.openFromUs()).toBe(21)
    for (const each of rows(3)) seam.takeRow(each)
    expect(seam.openFromUs()).toBeUndefined()
  })

  it('need not reach back to frames that the stores no longer have', () => {
    const seam = new Seam()
    for (const each of rows(7, 8)) seam.takeRow(each)
    seam.takeLive(frame(9))
    expect(seam.openFromUs()).toBeUndefined()
  })

  it('is one for each lane', () => {
    const seam = new Seam()
    for (const each of rows(1)) seam.takeRow(each)
    seam.takeRow(row(6, 0, 'tram'))
    seam.takeLive(frame(2))
    expect(seam.openFromUs()).toBe(60)
    seam.takeLive(frame(7, 'tram'))
    expect(seam.openFromUs()).toBeUndefined()
  })

  it('of what was only live is open unless it is the first frame', () => {
    const seam = new Seam()
    seam.takeLive(frame(1))
    expect(seam.openFromUs()).toBeUndefined()
    seam.takeLive(frame(2, 'tram'))
    expect(seam.openFromUs()).toBe(0)
  })
})
