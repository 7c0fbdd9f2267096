// A small city's roads, made from a seed: a slightly irregular grid, turned a little against north.
//
//   R R R R R R     ring, 80 km/h
//   R c l l c A …   every fifth line an arterial (60), beside it one-way collectors (50) that
//   R c l l c A …   alternate in direction, between them local streets (30) with some blocks
//   R A A A A A …   missing where parks would be
//
// Whoever stands at one junction can drive to any other: what cannot be reached, or left, is not
// built. Lights stand where larger roads cross, stop signs where a smaller road meets a larger.
import { WorldRandom } from './random.ts'

export type RoadClass = 'ring' | 'arterial' | 'collector' | 'local'
/** What a driver meets at the end of a road. */
export type Control = 'none' | 'stop' | 'light'

export interface Junction {
  readonly latitude: number
  readonly longitude: number
  /** Metres east and north of the city's centre. */
  readonly eastM: number
  readonly northM: number
  /** Where in its cycle the light is at second 0. */
  readonly lightPhaseS: number
}

/** One direction of one block. */
export interface Road {
  readonly from: number
  readonly to: number
  readonly class: RoadClass
  readonly lengthM: number
  readonly limitMps: number
  /** Radians, counter-clockwise from east. */
  readonly heading: number
  readonly control: Control
  /** Of the two directions of the grid, the one whose light this road obeys. */
  readonly axis: 0 | 1
}

export interface Roads {
  readonly junctions: readonly Junction[]
  readonly roads: readonly Road[]
  /**
   * The road to take at a junction for the quickest way to another; -1 when already there.
   * Cost: an array look-up, once a destination's tree is known (about 0.3 ms the first time).
   */
  next(junction: number, destination: number): number
  /** Whether the light at the end of a road is green at a second of the simulation. */
  isGreen(road: Road, second: number): boolean
}

export interface RoadOptions {
  readonly seed: number
  /** Centre in degrees (default San Francisco, 37.7749, -122.4194). */
  readonly latitude?: number
  readonly longitude?: number
  /** Junctions along each side (default 21). */
  readonly lines?: number
  readonly blockM?: number
}

const KMH = 1 / 3.6
const LIMITS_MPS: Readonly<Record<RoadClass, number>> = {
  ring: 80 * KMH,
  arterial: 60 * KMH,
  collector: 50 * KMH,
  local: 30 * KMH,
}
const RANK: Readonly<Record<RoadClass, number>> = { local: 0, collector: 1, arterial: 2, ring: 3 }
/** Seconds a route reckons for what stands at a road's end. */
const DELAY_S: Readonly<Record<Control, number>> = { none: 1, stop: 5, light: 12 }
const METRES_PER_DEGREE = 111_320
/** A light's cycle: each direction in turn has green, then three seconds pass with all red. */
const CYCLE_S = 60
const GREEN_S = 27
/** How far a junction may stand off its place in the grid, as a part of a block. */
const IRREGULARITY = 0.12
const PARK_SHARE = 0.12
/** The grid's turn against north, in radians: about that of downtown San Francisco. */
const GRID_TURN = -0.16

export function createRoads(options: RoadOptions): Roads {
  const { lines = 21, blockM = 170 } = options
  if (!Number.isInteger(lines) || lines < 3) throw new RangeError(`lines ${lines} is not above 2`)
  const random = new WorldRandom(options.seed)
  const junctions = layJunctions(options, lines, blockM, random)
  const roads = layRoads(junctions, lines, random)
  return new RoadGraph(...connected(junctions, roads, Math.floor((lines * lines) / 2)))
}

function layJunctions(
  options: RoadOptions,
  lines: number,
  blockM: number,
  random: WorldRandom,
): Junction[] {
  const { latitude = 37.7749, longitude = -122.4194 } = options
  const metresPerDegreeEast = METRES_PER_DEGREE * Math.cos((latitude * Math.PI) / 180)
  const half = (lines - 1) / 2
  return Array.from({ length: lines * lines }, (_, index) => {
    const x = ((index % lines) - half + random.between(-IRREGULARITY, IRREGULARITY)) * blockM
    const line = Math.floor(index / lines)
    const y = (line - half + random.between(-IRREGULARITY, IRREGULARITY)) * blockM
    const eastM = x * Math.cos(GRID_TURN) - y * Math.sin(GRID_TURN)
    const northM = x * Math.sin(GRID_TURN) + y * Math.cos(GRID_TURN)
    return {
      eastM,
      northM,
      latitude: latitude + northM / METRES_PER_DEGREE,
      longitude: longitude + eastM / metresPerDegreeEast,
      lightPhaseS: random.below(CYCLE_S),
    }
  })
}

function layRoads(junctions: readonly Junction[], lines: number, random: WorldRandom): Road[] {
  const roads: Road[] = []
  for (let line = 0; line < lines; line++) {
    const roadClass = lineClass(line, lines)
    for (let block = 0; block + 1 < lines; block++) {
      for (const axis of [0, 1] as const) {
        const park = roadClass === 'local' && random.next() < PARK_SHARE
        if (park) continue
        const here = axis === 0 ? line * lines + block : block * lines + line
        const there = axis === 0 ? here + 1 : here + lines
        const lay = (from: number, to: number, endBlock: number) => {
          const crossing = lineClass(endBlock, lines)
          roads.push(makeRoad(junctions, from, to, roadClass, crossing, axis))
        }
        const oneWay = roadClass === 'collector'
        const forward = line % 2 === 0
        if (!oneWay || forward) lay(here, there, block + 1)
        if (!oneWay || !forward) lay(there, here, block)
      }
    }
  }
  return roads
}

function lineClass(line: number, lines: number): RoadClass {
  if (line === 0 || line === lines - 1) return 'ring'
  if (line % 5 === 0) return 'arterial'
  return line % 5 === 1 || line % 5 === 4 ? 'collector' : 'local'
}

function makeRoad(
  junctions: readonly Junction[],
  from: number,
  to: number,
  roadClass: RoadClass,
  crossing: RoadClass,
  axis: 0 | 1,
): Road {
  const eastM = junctions[to]!.eastM - junctions[from]!.eastM
  const northM = junctions[to]!.northM - junctions[from]!.northM
  return {
    from,
    to,
    class: roadClass,
    lengthM: Math.hypot(eastM, northM),
    limitMps: LIMITS_MPS[roadClass],
    heading: Math.atan2(northM, eastM),
    control: controlAt(roadClass, crossing),
    axis,
  }
}

function controlAt(own: RoadClass, crossing: RoadClass): Control {
  if (RANK[own] > 0 && RANK[crossing] > 0 && RANK[own] + RANK[crossing] > 2) return 'light'
  return RANK[own] < RANK[crossing] ? 'stop' : 'none'
}

/** Only the junctions that the start reaches and that reach it, renumbered, and the roads between. */
function connected(
  junctions: readonly Junction[],
  roads: readonly Road[],
  start: number,
): [Junction[], Road[]] {
  const reached = reach(roads, start, 'from', 'to')
  const reaching = reach(roads, start, 'to', 'from')
  const kept = [...reached].filter((index) => reaching.has(index)).sort((a, b) => a - b)
  const numbers = new Map(kept.map((index, number) => [index, number] as const))
  const keptRoads = roads.flatMap((road) => {
    const from = numbers.get(road.from)
    const to = numbers.get(road.to)
    return from === undefined || to === undefined ? [] : [{ ...road, from, to }]
  })
  return [[...numbers.keys()].map((index) => junctions[index]!), keptRoads]
}

function reach(roads: readonly Road[], start: number, near: 'from' | 'to', far: 'from' | 'to') {
  const found = new Set([start])
  // A set's iteration takes in what is added while it runs: this is the whole search.
  for (const junction of found) {
    for (const road of roads) if (road[near] === junction) found.add(road[far])
  }
  return found
}

class RoadGraph implements Roads {
  readonly junctions: readonly Junction[]
  readonly roads: readonly Road[]
  readonly #arriving: readonly number[][]
  /** Per destination: for every junction the road to take. Made when first asked for. */
  readonly #trees: (Int16Array | undefined)[]

  constructor(junctions: readonly Junction[], roads: readonly Road[]) {
    // A tree holds road numbers in 16 bits.
    if (roads.length > 32_767) throw new RangeError(`${roads.length} roads exceed 32767`)
    this.junctions = junctions
    this.roads = roads
    this.#trees = Array.from(junctions, () => undefined)
    const arriving: number[][] = Array.from(junctions, () => [])
    for (const [index, road] of roads.entries()) arriving[road.to]!.push(index)
    this.#arriving = arriving
  }

  next(junction: number, destination: number): number {
    const tree = (this.#trees[destination] ??= this.#tree(destination))
    return tree[junction]!
  }

  isGreen(road: Road, second: number): boolean {
    const at = (second + this.junctions[road.to]!.lightPhaseS) % CYCLE_S
    const since = road.axis === 0 ? at : at - CYCLE_S / 2
    return since >= 0 && since < GREEN_S
  }

  /** Dijkstra's, backwards from the destination; some 440 junctions need no heap. */
  #tree(destination: number): Int16Array {
    const tree = new Int16Array(this.junctions.length).fill(-1)
    const seconds = new Float64Array(this.junctions.length).fill(Infinity)
    const open = new Set([destination])
    seconds[destination] = 0
    while (open.size > 0) {
      let nearest = destination
      let least = Infinity
      for (const junction of open) {
        if (seconds[junction]! < least) {
          least = seconds[junction]!
          nearest = junction
        }
      }
      open.delete(nearest)
      for (const index of this.#arriving[nearest]!) {
        const road = this.roads[index]!
        const total = least + road.lengthM / road.limitMps + DELAY_S[road.control]
        if (total >= seconds[road.from]!) continue
        seconds[road.from] = total
        tree[road.from] = index
        open.add(road.from)
      }
    }
    return tree
  }
}
