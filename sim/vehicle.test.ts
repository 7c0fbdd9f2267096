import { describe, expect, test } from 'vitest'
import { WorldRandom } from './random.ts'
import { createRoads, type Roads } from './roads.ts'
import { Vehicle } from './vehicle.ts'

const CITY = { latitude: 37.7749, longitude: -122.4194 }
const roads = createRoads({ seed: 11, ...CITY })
const METRES_PER_DEGREE = 111_320
const METRES_PER_DEGREE_EAST = METRES_PER_DEGREE * Math.cos((CITY.latitude * Math.PI) / 180)

function placeOf(vehicle: Vehicle) {
  return {
    eastM: (vehicle.longitude - CITY.longitude) * METRES_PER_DEGREE_EAST,
    northM: (vehicle.latitude - CITY.latitude) * METRES_PER_DEGREE,
  }
}

type Place = ReturnType<typeof placeOf>

function distanceToRoads(place: Place, { junctions, roads }: Roads): number {
  let nearest = Infinity
  for (const { from, to, lengthM } of roads) {
    const [start, end] = [junctions[from]!, junctions[to]!]
    const [east, north] = [end.eastM - start.eastM, end.northM - start.northM]
    const dot = (place.eastM - start.eastM) * east + (place.northM - start.northM) * north
    const along = Math.min(1, Math.max(0, dot / lengthM ** 2))
    const eastOff = place.eastM - start.eastM - along * east
    const northOff = place.northM - start.northM - along * north
    nearest = Math.min(nearest, Math.hypot(eastOff, northOff))
  }
  return nearest
}

describe('vehicle', () => {
  test('an hour of driving stays on roads, within limits, without a jump, and stops at times', () => {
    for (let index = 0; index < 4; index++) {
      const vehicle = new Vehicle(roads, new WorldRandom(5, index))
      let before = placeOf(vehicle)
      let speedBefore = vehicle.speedKmh
      let [standing, fast, offRoadM] = [0, 0, 0]
      for (let second = 0; second < 3_600; second++) {
        vehicle.step(1)
        const place = placeOf(vehicle)
        const movedM = Math.hypot(place.eastM - before.eastM, place.northM - before.northM)
        expect(vehicle.speedKmh).toBeLessThanOrEqual(vehicle.limitKmh + 1e-9)
        expect(movedM).toBeLessThanOrEqual(80 / 3.6 + 1)
        // 1.8 m/s² at most up, and no harder braking than in an emergency down.
        expect(vehicle.speedKmh - speedBefore).toBeLessThanOrEqual(1.8 * 3.6 + 1e-9)
        expect(speedBefore - vehicle.speedKmh).toBeLessThanOrEqual(8 * 3.6)
        if (second % 20 === 0) offRoadM = Math.max(offRoadM, distanceToRoads(place, roads))
        if (vehicle.speedKmh === 0) standing++
        if (vehicle.speedKmh > 40) fast++
        before = place
        speedBefore = vehicle.speedKmh
      }
      expect(offRoadM).toBeLessThan(0.5)
      expect(standing).toBeGreaterThan(60)
      expect(fast).toBeGreaterThan(60)
    }
  })

  test('networks go and come back, and the vehicle drives and measures meanwhile', () => {
    let [losses, returns, movedOffline] = [0, 0, 0]
    for (let index = 0; index < 10; index++) {
      const vehicle = new Vehicle(roads, new WorldRandom(3, index))
      let online = vehicle.online
      expect(online).toBe(true)
      let offlineS = 0
      for (let second = 0; second < 3_600; second++) {
        vehicle.step(1)
        if (online && !vehicle.online) losses++
        if (!online && vehicle.online) returns++
        online = vehicle.online
        offlineS = online ? 0 : offlineS + 1
        expect(offlineS).toBeLessThanOrEqual(151)
        if (!online && vehicle.speedKmh > 0) movedOffline++
      }
    }
    expect(losses).toBeGreaterThan(10)
    expect(losses - returns).toBeLessThanOrEqual(10)
    expect(movedOffline).toBeGreaterThan(0)
  })

  test('weather stays in a believable range over a day', () => {
    const vehicle = new Vehicle(roads, new WorldRandom(2), 0)
    for (let minute = 0; minute < 24 * 60; minute++) {
      vehicle.step(60)
      expect(vehicle.temperature).toBeGreaterThan(5)
      expect(vehicle.temperature).toBeLessThan(30)
      expect(vehicle.humidity).toBeGreaterThanOrEqual(20)
      expect(vehicle.humidity).toBeLessThanOrEqual(100)
    }
  })
})
