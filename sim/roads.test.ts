import { describe, expect, test } from 'vitest'
import { createRoads, type Roads } from './roads.ts'

function drive(roads: Roads, from: number, to: number): number {
  let junction = from
  for (let count = 0; count <= roads.junctions.length; count++) {
    if (junction === to) return count
    const road = roads.roads[roads.next(junction, to)]!
    expect(road.from).toBe(junction)
    junction = road.to
  }
  throw new Error(`no way from ${from} to ${to}`)
}

describe('roads', () => {
  test('every junction can be reached from every other, whatever the seed', () => {
    for (let seed = 0; seed < 4; seed++) {
      const roads = createRoads({ seed, lines: 13 })
      const count = roads.junctions.length
      expect(count).toBeGreaterThan(140)
      for (let from = 0; from < count; from++) {
        for (let to = 0; to < count; to += 7) drive(roads, from, to)
      }
    }
  })

  test('the same seed builds the same city, another seed another', () => {
    const city = createRoads({ seed: 1 })
    expect(createRoads({ seed: 1 }).roads).toEqual(city.roads)
    expect(createRoads({ seed: 2 }).roads).not.toEqual(city.roads)
  })

  test('there are one-way streets, all classes, and blocks long enough to stop in from the limit', () => {
    const { roads } = createRoads({ seed: 4 })
    const ways = new Set(roads.map(({ from, to }) => `${from}-${to}`))
    expect(roads.filter(({ from, to }) => !ways.has(`${to}-${from}`)).length).toBeGreaterThan(50)
    expect(new Set(roads.map((road) => road.class)).size).toBe(4)
    for (const { lengthM, limitMps } of roads) {
      expect(lengthM).toBeGreaterThan(limitMps ** 2 / (2 * 2.5))
    }
  })

  test('lights give each direction its turn and never both', () => {
    const roads = createRoads({ seed: 4 })
    const lit = roads.roads.filter(({ control }) => control === 'light')
    const one = lit.find(({ axis }) => axis === 0)!
    const crossing = lit.find(({ axis, to }) => axis === 1 && to === one.to)!
    let [greens, crossingGreens] = [0, 0]
    for (let second = 0; second < 60; second++) {
      const [a, b] = [roads.isGreen(one, second), roads.isGreen(crossing, second)]
      expect(a && b).toBe(false)
      greens += Number(a)
      crossingGreens += Number(b)
    }
    expect([greens, crossingGreens]).toEqual([27, 27])
  })
})
