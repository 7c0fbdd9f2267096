// Smart buses for the bench: on the roads of the simulated fleet, with passengers who get on and off where
// they stop, and a delay that grows with them. Passengers are simulated: nobody publishes such counts.
import type { Fields, JsonSchema } from '../mesh/index.ts'
import { createFleet } from '../sim/index.ts'
import { WorldRandom } from '../sim/random.ts'
import type { Made, Making } from './readings.ts'

export const BUS_SCHEMA: JsonSchema = {
  title: 'bus.state',
  type: 'object',
  properties: {
    latitude: { type: 'number', minimum: -90, maximum: 90, 'x-unit': 'degrees' },
    longitude: { type: 'number', minimum: -180, maximum: 180, 'x-unit': 'degrees' },
    passengers: { type: 'integer', minimum: 0 },
    capacity: { type: 'integer', minimum: 1 },
    delay: {
      type: 'integer',
      'x-unit': 's',
      description: 'Behind the timetable; below 0 before it.',
    },
  },
  required: ['latitude', 'longitude', 'passengers', 'capacity', 'delay'],
  additionalProperties: false,
}

/** Readings come every 100 ms of the bench, where buses send one a second. */
const SECONDS_PER_US = 1e-5
/** Some simulated day: what buses send must not depend on when the bench runs. */
const DAY_US = 1_751_803_200_000_000
/** An ordinary bus and an articulated one. */
const CAPACITIES = [44, 76] as const
const STOP_EVERY_S = 35
/** Who gets on at a stop in the busiest hour. */
const BOARDING_PEAK = 9
/** Of those on board, who get off at a stop. */
const LEAVING = 0.22
const BOARDING_S = 2.5
/** What a driver makes good between two stops. */
const RECOVERED_S = 12
const EARLY_S = 30

export function busFields({ sources, seed, baseUs }: Making): Made {
  const fleet = createFleet({ vehicles: sources, seed, startUs: DAY_US })
  // They are spread over the day, so that it has its rush hours and its nights.
  const buses = fleet.sources.map((_, index) => new Bus(seed, index, (index * 24) / sources))
  return {
    schema: BUS_SCHEMA,
    names: buses.map((_, index) => `BUS${String(index + 1).padStart(3, '0')}`),
    most: 262_144,
    fields(source, timeUs): Fields {
      const seconds = (timeUs - baseUs) * SECONDS_PER_US
      const { latitude, longitude } = fleet.sample(source, DAY_US + seconds * 1e6).fields
      const { passengers, capacity, delayS } = buses[source]!.at(seconds)
      return { latitude: latitude!, longitude: longitude!, passengers, capacity, delay: delayS }
    },
  }
}

class Bus {
  readonly capacity: number
  passengers = 0
  delayS = 0
  private readonly random: WorldRandom
  private readonly hour: number
  private nextStopS: number

  /** `hour` of the day in which it is seen, 0 to 24. */
  constructor(seed: number, index: number, hour: number) {
    this.random = new WorldRandom(seed, index + 1)
    this.hour = (hour + 7) % 24
    this.capacity = CAPACITIES[this.random.below(CAPACITIES.length)]!
    this.nextStopS = this.random.exponential(STOP_EVERY_S)
    // It has been under way for a while.
    for (let stop = 0; stop < 10; stop++) this.stop()
  }

  at(seconds: number): this {
    for (; this.nextStopS <= seconds; this.nextStopS += this.random.exponential(STOP_EVERY_S)) {
      this.stop()
    }
    return this
  }

  private stop(): void {
    let leaving = 0
    for (let i = 0; i < this.passengers; i++) if (this.random.next() < LEAVING) leaving += 1
    const room = this.capacity - this.passengers + leaving
    const boarding = Math.min(
      room,
      Math.floor(this.random.exponential(BOARDING_PEAK * demand(this.hour))),
    )
    this.passengers += boarding - leaving
    const late = this.delayS + BOARDING_S * boarding - this.random.between(0, 2 * RECOVERED_S)
    this.delayS = Math.round(Math.max(-EARLY_S, late))
  }
}

/** Of the busiest hour, 0 to 1: to work at 8, home at 17, a few by day, hardly any at night. */
function demand(hour: number): number {
  const peak = (at: number, width: number): number => Math.exp(-(((hour - at) / width) ** 2))
  return Math.min(1, 0.05 + 0.95 * peak(8, 1.5) + 0.35 * peak(13, 4) + 0.85 * peak(17, 2))
}
