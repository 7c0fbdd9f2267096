// One vehicle on the roads: it drives to a destination by the quickest way, brakes for corners, stop
// signs and red lights, parks a while, and picks the next. Now and then its network goes; it drives
// and measures all the same, and whoever publishes for it stores and forwards.
//
// Vehicles do not see one another: there is no traffic. Braking looks one block ahead, which is enough
// because every block is longer than the way to stop from its limit.
import type { WorldRandom } from './random.ts'
import type { Road, Roads } from './roads.ts'

/** m/s². A comfortable start, a firm stop, and the braking beyond which a driver runs the yellow. */
const ACCELERATION = 1.8
const BRAKING = 2.5
const BRAKING_HARD = 4.5
/** Closer than this to where it must stop, a vehicle stands. Metres. */
const STANDING_M = 0.8
const TICK_S = 1
/** Means and bounds in seconds. */
const PARKED_S = { least: 20, most: 240 }
const SIGN_WAIT_S = { least: 1, most: 4 }
const ONLINE_MEAN_S = 600
const OFFLINE_S = { least: 15, most: 150 }
const WEATHER_EVERY_S = 10

export class Vehicle {
  readonly #roads: Roads
  readonly #random: WorldRandom
  /** Second of the day, in the sun's time, at second 0 of the simulation. */
  readonly #daySecond: number
  /** How much of the limit this driver uses. */
  readonly #temper: number
  readonly #warmth: number
  #second = 0
  #road: Road
  #next: Road | undefined
  #destination: number
  #alongM = 0
  #speedMps = 0
  /** What the way on allows at the end of the road, were it free. */
  #cornerMps = 0
  /** The stop sign at the end of this road has been obeyed. */
  #hasStopped = false
  #waitS = 0
  #parked = true
  #online = true
  #networkChangeS: number
  #weatherS = 0
  #noise = 0
  #temperature = 0
  #humidity = 0

  /** `daySecond`: the second of the day at the start, for the weather. */
  constructor(roads: Roads, random: WorldRandom, daySecond = 43_200) {
    this.#roads = roads
    this.#random = random
    this.#daySecond = daySecond
    this.#temper = random.between(0.85, 1)
    this.#warmth = random.normal() * 0.8
    this.#networkChangeS = random.exponential(ONLINE_MEAN_S)
    this.#road = roads.roads[random.below(roads.roads.length)]!
    this.#alongM = this.#road.lengthM * random.next()
    this.#destination = this.#pickDestination()
    this.#lookAhead()
    // So that a fleet does not start as one.
    this.#waitS = random.between(0, 15)
    this.#weather()
  }

  get online(): boolean {
    return this.#online
  }

  get latitude(): number {
    const { from, to, lengthM } = this.#road
    const start = this.#roads.junctions[from]!.latitude
    return start + ((this.#roads.junctions[to]!.latitude - start) * this.#alongM) / lengthM
  }

  get longitude(): number {
    const { from, to, lengthM } = this.#road
    const start = this.#roads.junctions[from]!.longitude
    return start + ((this.#roads.junctions[to]!.longitude - start) * this.#alongM) / lengthM
  }

  get speedKmh(): number {
    return this.#speedMps * 3.6
  }

  /** The limit of the road it is on. */
  get limitKmh(): number {
    return this.#road.limitMps * 3.6
  }

  /** Celsius. */
  get temperature(): number {
    return this.#temperature
  }

  /** Percent. */
  get humidity(): number {
    return this.#humidity
  }

  /** Drives on; in steps of at most a second. */
  step(dtSeconds: number): void {
    let left = dtSeconds
    while (left > 0) {
      this.#tick(Math.min(left, TICK_S))
      left -= TICK_S
    }
  }

  #tick(dtS: number): void {
    this.#second += dtS
    if (this.#second >= this.#networkChangeS) this.#changeNetwork()
    if (this.#second >= this.#weatherS) this.#weather()
    if (this.#waitS > 0) this.#wait(dtS)
    else this.#drive(dtS)
  }

  #wait(dtS: number): void {
    this.#waitS -= dtS
    if (this.#waitS > 0) return
    this.#waitS = 0
    if (!this.#parked) return
    this.#parked = false
    if (this.#destination === this.#road.to) {
      this.#destination = this.#pickDestination()
      this.#lookAhead()
    }
  }

  #drive(dtS: number): void {
    const leftM = this.#road.lengthM - this.#alongM
    const exitMps = this.#exitMps(leftM)
    if (exitMps === 0 && leftM < STANDING_M) {
      this.#stand()
      return
    }
    const speed = this.#speedMps
    const wanted = Math.min(this.#road.limitMps * this.#temper, speed + ACCELERATION * dtS)
    const reached = Math.max(0, Math.min(wanted, safeMps(speed, leftM, exitMps, dtS)))
    this.#alongM += ((speed + reached) / 2) * dtS
    this.#speedMps = reached
    if (this.#alongM < this.#road.lengthM) return
    if (exitMps > 0) this.#turn()
    else this.#alongM = this.#road.lengthM
  }

  /** The speed allowed at the end of the road as things are now. */
  #exitMps(leftM: number): number {
    if (this.#next === undefined) return 0
    const { control } = this.#road
    if (control === 'stop') return this.#hasStopped ? this.#cornerMps : 0
    if (control === 'none' || this.#roads.isGreen(this.#road, this.#second)) return this.#cornerMps
    const canStop = leftM >= this.#speedMps ** 2 / (2 * BRAKING_HARD)
    return canStop ? 0 : this.#cornerMps
  }

  /** At the end of the road with no way on, for now: arrived, at a stop sign, or at a red light. */
  #stand(): void {
    this.#speedMps = 0
    if (this.#next === undefined) {
      this.#parked = true
      this.#waitS = this.#random.between(PARKED_S.least, PARKED_S.most)
    } else if (this.#road.control === 'stop') {
      this.#hasStopped = true
      this.#waitS = this.#random.between(SIGN_WAIT_S.least, SIGN_WAIT_S.most)
    }
  }

  #turn(): void {
    this.#alongM -= this.#road.lengthM
    this.#road = this.#next!
    this.#speedMps = Math.min(this.#speedMps, this.#road.limitMps)
    this.#hasStopped = false
    this.#lookAhead()
  }

  /** Finds the next road and how fast the corner into it may be taken. */
  #lookAhead(): void {
    const index = this.#roads.next(this.#road.to, this.#destination)
    this.#next = this.#roads.roads[index]
    if (this.#next === undefined) return
    const limit = Math.min(this.#road.limitMps, this.#next.limitMps) * this.#temper
    this.#cornerMps = Math.min(limit, cornerMps(this.#road.heading, this.#next.heading))
  }

  #pickDestination(): number {
    for (;;) {
      const junction = this.#random.below(this.#roads.junctions.length)
      if (junction !== this.#road.to) return junction
    }
  }

  #changeNetwork(): void {
    this.#online = !this.#online
    this.#networkChangeS =
      this.#second +
      (this.#online
        ? this.#random.exponential(ONLINE_MEAN_S)
        : this.#random.between(OFFLINE_S.least, OFFLINE_S.most))
  }

  /** Warmest at 15 h, dry when warm, with a slow noise of its own. */
  #weather(): void {
    this.#weatherS = this.#second + WEATHER_EVERY_S
    this.#noise = this.#noise * 0.98 + this.#random.normal() * 0.08
    const hour = (this.#daySecond + this.#second) / 3600
    const swing = Math.cos(((hour - 15) / 12) * Math.PI)
    this.#temperature = 17 + 5 * swing + this.#warmth + this.#noise
    const humidity = 65 - 14 * swing - 2 * this.#warmth - 3 * this.#noise
    this.#humidity = Math.min(100, Math.max(0, humidity))
  }
}

/**
 * The greatest speed v after `dtS` from which the exit speed can still be braked to in what is left
 * of the road then: v² = exit² + 2 b (left - (speed + v) dt / 2), solved for v.
 */
function safeMps(speed: number, leftM: number, exitMps: number, dtS: number): number {
  const half = (BRAKING * dtS) / 2
  const square = half * half + exitMps * exitMps + 2 * BRAKING * (leftM - (speed * dtS) / 2)
  // At the exit speed or less there is nothing to brake for, even when the road ends within the step.
  return Math.max(exitMps, square <= 0 ? 0 : Math.sqrt(square) - half)
}

/** Straight on as fast as you like, a bend at 35 km/h, a turn at 20, a U-turn at 8. */
function cornerMps(from: number, to: number): number {
  const bend = Math.abs(Math.atan2(Math.sin(to - from), Math.cos(to - from)))
  if (bend < 0.35) return Infinity
  if (bend < 1) return 35 / 3.6
  return bend < 2.4 ? 20 / 3.6 : 8 / 3.6
}
