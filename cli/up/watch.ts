// What people see of a `skein up` while it runs: on a terminal a table that redraws, otherwise a line
// now and then. Neither with --json; what nodes have to say goes to stderr then.
import type { Config } from '../../nodes/index.ts'
import { FLEET_STREAM } from '../../sim/index.ts'
import { counted } from '../counted.ts'
import { LiveRegion } from '../format/live-region.ts'
import { paintFor } from '../format/paint.ts'
import { bytes, clock, count, durationUs, rate } from '../format/units.ts'
import { upView, type UpFlow, type UpNode, type UpState } from '../format/up-view.ts'
import { note, printLine, type Warn } from '../output.ts'
import { quantiles } from './histogram.ts'
import type { LocalMesh } from './local-mesh.ts'
import { Rates } from './rates.ts'

export interface View {
  /** Something happened that people should read. */
  log(line: string): void
  /** The mesh runs: what to do with it. */
  started(): void
  /** It is being stopped. */
  stopping(): void
  end(): void
}

const REDRAW_MS = 500
const LINE_EVERY_MS = 5_000

export function watch(mesh: LocalMesh, config: Config, json: boolean, warn: Warn): View {
  if (json) {
    const nothing = (): void => undefined
    return { log: warn, started: nothing, stopping: nothing, end: nothing }
  }
  return process.stdout.isTTY ? watchTerminal(mesh, config) : watchLines(mesh, config, warn)
}

function watchTerminal(mesh: LocalMesh, config: Config): View {
  const { stdout } = process
  const paint = paintFor(stdout, process.env)
  const region = new LiveRegion()
  const rates = new Rates()
  let hint = `Ctrl-C ends. ${HINT}`
  const show = (): void => {
    const size = { columns: stdout.columns, rows: stdout.rows }
    const state = { ...stateOf(mesh, config, rates), hint }
    stdout.write(region.draw(upView(state, size, paint), size))
  }
  // Whatever ends this process, the terminal gets its cursor back.
  const restore = (): boolean => stdout.write(region.end())
  show()
  const timer = setInterval(show, REDRAW_MS)
  let hasEnded = false
  process.once('exit', restore)
  stdout.on('resize', show)
  return {
    log: () => undefined,
    started: () => undefined,
    stopping: () => {
      hint = STOPPING
      show()
    },
    end: () => {
      if (hasEnded) return
      hasEnded = true
      clearInterval(timer)
      stdout.off('resize', show)
      process.off('exit', restore)
      show()
      restore()
    },
  }
}

function watchLines(mesh: LocalMesh, config: Config, warn: Warn): View {
  const rates = new Rates()
  const show = (): void => printLine(progressLine(stateOf(mesh, config, rates)))
  // Rates count from here on.
  stateOf(mesh, config, rates)
  const timer = setInterval(show, LINE_EVERY_MS)
  return {
    log: warn,
    started: () => {
      const { storage, aggregators, vehicles } = config.up
      note(
        `mesh ${config.mesh.name} is up: ${counted(storage, 'storage peer')}, ` +
          `${counted(aggregators, 'aggregator')}, ${counted(vehicles, 'vehicle')}. ${HINT}`,
      )
    },
    stopping: () => note(STOPPING),
    end: () => clearInterval(timer),
  }
}

const STOPPING = 'stopping: waiting for the last acknowledgements; a second signal ends at once'

const HINT = `In another terminal: npx skein query latest -s ${FLEET_STREAM}`

function stateOf(mesh: LocalMesh, config: Config, rates: Rates): UpState {
  const uptimeMs = Math.max(0, Date.now() - mesh.startedUs / 1000)
  return {
    mesh: config.mesh.name,
    transport: config.transport.name,
    uptimeMs,
    flows: flowsOf(mesh, config, rates),
    nodes: mesh.nodes.map((child) => ({
      ...child.view(),
      ...factsOf(mesh, child, rates),
    })),
    messages: [...refusals(mesh), ...mesh.recentMessages()],
    hint: '',
  }
}

function flowsOf(mesh: LocalMesh, config: Config, rates: Rates): UpFlow[] {
  const { published, stored, refused, dropped } = mesh.fleet
  const waiting = overdue(mesh, rates)
  const live = quantiles(mesh.liveUs)
  const derived = [...mesh.derived.values()].reduce((sum, { results }) => sum + results, 0)
  const flow = (name: UpFlow['name'], total: number): UpFlow => ({
    name,
    total,
    perSecond: rates.of(name, total),
  })
  const lost = refused + dropped
  const flows: UpFlow[] = [
    {
      ...flow('published', published),
      ...(lost > 0 && { note: `${count(lost)} refused or dropped: outbox full`, isBad: true }),
    },
    {
      ...flow('stored', stored),
      ...(mesh.storedUs.max > 0 && { p50Us: mesh.storedUs.p50, p99Us: mesh.storedUs.p99 }),
      note: mesh.trouble ?? (waiting > 0 ? `${count(waiting)} waiting` : ''),
      isBad: mesh.trouble !== undefined,
    },
    {
      ...flow('live', mesh.liveSamples),
      ...(live.max > 0 && { p50Us: live.p50, p99Us: live.p99 }),
      // Mostly of vehicles that were off the network: what they send late is stored, and not live.
      ...(mesh.missedFrames > 0 && {
        note: `${count(mesh.missedFrames)} frames came late: stored, not live`,
      }),
    },
  ]
  if (config.up.aggregators > 0) {
    const { windows, thresholds } = config.aggregator
    const streams = [...windows, ...thresholds].map(({ output }) => output)
    flows.push({ ...flow('derived', derived), note: streams.join(', ') })
  }
  return flows
}

/** Samples not acknowledged beyond what one second brings: some are on their way at any moment. */
function overdue({ fleet }: LocalMesh, rates: Rates): number {
  return fleet.pending > rates.last('published') ? fleet.pending : 0
}

function refusals({ stores }: LocalMesh): string[] {
  return [...stores].flatMap(([name, { refusing }]) =>
    refusing === undefined ? [] : [`${name} acknowledges nothing: ${refusing}`],
  )
}

type NodeFacts = Omit<UpNode, 'name' | 'role' | 'state'> & { state?: UpNode['state'] }

function factsOf(
  mesh: LocalMesh,
  { name, role, state }: LocalMesh['nodes'][number],
  rates: Rates,
): NodeFacts {
  const memoryBytes = mesh.memory.get(name)
  const memory = memoryBytes === undefined ? {} : { memoryBytes }
  const flow = (samples: number, lag: string): NodeFacts => ({
    ...memory,
    samples,
    perSecond: rates.of(name, samples),
    lag,
  })
  if (role === 'fleet') return flow(mesh.fleet.published, count(overdue(mesh, rates)))
  if (role === 'aggregator') {
    const { results = 0, pending = 0 } = mesh.derived.get(name) ?? {}
    return flow(results, count(pending))
  }
  const store = mesh.stores.get(name)
  if (store === undefined) return memory
  const { samples, queuedBytes, missingFrames, refusing } = store
  const frames = missingFrames === 1 ? 'frame' : 'frames'
  const repair = missingFrames > 0 ? `${count(missingFrames)} ${frames}` : undefined
  const isDegraded = refusing !== undefined && state === 'ready'
  return {
    ...flow(samples, repair ?? (queuedBytes > 0 ? bytes(queuedBytes) : '0')),
    ...(isDegraded && { state: 'degraded' }),
  }
}

function progressLine({ uptimeMs, flows }: UpState): string {
  const parts = flows.map(({ name, perSecond, p50Us, note: said, isBad }) => {
    const latency = p50Us === undefined ? '' : ` p50 ${durationUs(p50Us)}`
    const trouble = isBad === true ? ` (${said})` : ''
    return `${name} ${rate(perSecond)}${latency}${trouble}`
  })
  return [`up ${clock(uptimeMs)}`, ...parts].join('   ')
}
