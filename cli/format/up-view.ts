// What `skein up` shows while it runs: a pure function of its state, so that a test reads it and a
// resize only calls it again.
//
//   skein · zeromq · up 2m 05s
//
//   FLOW         RATE  TOTAL      P50      P99
//   published  4.00/s    500
//   stored     4.00/s    498  1.20 ms  3.40 ms
//   live       4.00/s    500   250 µs  1.40 ms
//   derived    0.40/s     48                    vehicle.motion.speed_10s, vehicle.motion.speeding
//
//   NODE          STATE   PID    MEMORY  SAMPLES    RATE  LAG  ADDRESS
//   storage-1     ready  4711  71.0 MiB      332  2.67/s    0  127.0.0.1:40123
//   …
//
//   storage-2 was ended by SIGKILL; starting it again in 1 s
//   Ctrl-C ends. In another terminal: npx skein query latest -s vehicle.motion
import { plain, type Paint } from './paint.ts'
import type { TerminalSize } from './live-region.ts'
import { table, type Column } from './table.ts'
import { bytes, clock, count, durationUs, rate } from './units.ts'
import { fit } from './width.ts'

export type NodeState = 'starting' | 'ready' | 'degraded' | 'restarting' | 'stopping' | 'stopped'

export interface UpNode {
  readonly name: string
  readonly role: string
  readonly state: NodeState
  readonly pid?: number
  readonly memoryBytes?: number
  /** A store: held. An aggregator: its results. A fleet: published. */
  readonly samples?: number
  readonly perSecond?: number
  /** What it has still to do: waits for a disk, for acknowledgements, or for repair. */
  readonly lag?: string
  /** Where to look at it. */
  readonly address?: string
}

export interface UpFlow {
  readonly name: 'published' | 'stored' | 'live' | 'derived'
  readonly perSecond: number
  readonly total: number
  /** Absent before the first one. */
  readonly p50Us?: number
  readonly p99Us?: number
  readonly note?: string
  /** The note is of something lost. */
  readonly isBad?: boolean
}

export interface UpState {
  readonly mesh: string
  readonly transport: string
  readonly uptimeMs: number
  readonly flows: readonly UpFlow[]
  readonly nodes: readonly UpNode[]
  /** What is wrong now, then what happened, newest first. */
  readonly messages: readonly string[]
  /** What to do next, for somebody who sees this for the first time. */
  readonly hint: string
}

const STATE_STYLES = {
  starting: 'yellow',
  ready: 'green',
  degraded: 'red',
  restarting: 'red',
  stopping: 'yellow',
  stopped: 'dim',
} as const satisfies Record<NodeState, string>

/** A node that is not well must not be the one that a small terminal hides. */
const URGENCY: readonly NodeState[] = [
  ...(['degraded', 'restarting', 'starting', 'stopping', 'stopped', 'ready'] as const),
]

/** A terminal with fewer rows shows the nodes rather than the latencies. */
const ROWS_FOR_FLOWS = 14

/** At most `rows - 1` lines, none wider than `columns`. */
export function upView(state: UpState, size: TerminalSize, paint: Paint = plain): string[] {
  const flows = size.rows < ROWS_FOR_FLOWS ? [] : [...flowLines(state.flows, paint), '']
  const head = [titleLine(state, paint), '', ...flows]
  const room = Math.max(0, size.rows - 1 - head.length)
  const nodes = nodeLines(state.nodes, room, paint)
  const messageRoom = Math.max(0, room - nodes.length - 1)
  const said = [...state.messages.slice(0, messageRoom - 1), paint('dim', state.hint)]
  const tail = messageRoom === 0 ? [] : ['', ...said]
  return [...head, ...nodes, ...tail]
    .slice(0, Math.max(1, size.rows - 1))
    .map((line) => fit(line, size.columns))
}

function titleLine({ mesh, transport, uptimeMs }: UpState, paint: Paint): string {
  return [paint('bold', mesh), transport, `up ${clock(uptimeMs)}`].join(' · ')
}

function flowLines(flows: readonly UpFlow[], paint: Paint): string[] {
  const latency = (us: number | undefined): string => (us === undefined ? '' : durationUs(us))
  const columns: readonly Column<UpFlow>[] = [
    { title: 'FLOW', value: ({ name }) => name },
    { title: 'RATE', value: ({ perSecond }) => rate(perSecond), align: 'right', widthMin: 7 },
    { title: 'TOTAL', value: ({ total }) => count(total), align: 'right', widthMin: 5 },
    { title: 'P50', value: ({ p50Us }) => latency(p50Us), align: 'right', widthMin: 7 },
    { title: 'P99', value: ({ p99Us }) => latency(p99Us), align: 'right', widthMin: 7 },
    {
      title: '',
      value: ({ note = '', isBad }) => (isBad === true ? paint('red', note) : note),
    },
  ]
  return table(flows, columns, { paint })
}

function nodeLines(nodes: readonly UpNode[], room: number, paint: Paint): string[] {
  const columns: readonly Column<UpNode>[] = [
    { title: 'NODE', value: ({ name }) => name },
    { title: 'STATE', value: ({ state }) => paint(STATE_STYLES[state], state) },
    { title: 'PID', value: ({ pid }) => String(pid ?? ''), align: 'right' },
    { title: 'MEMORY', value: memoryText, align: 'right' },
    { title: 'SAMPLES', value: ({ samples }) => countText(samples), align: 'right' },
    { title: 'RATE', value: rateText, align: 'right', widthMin: 7 },
    { title: 'LAG', value: ({ lag }) => lag ?? '', align: 'right' },
    { title: 'ADDRESS', value: ({ address }) => address?.replace(/^http:\/\//, '') ?? '' },
  ]
  const used = columns.filter(
    ({ title, value }) => title === 'NODE' || nodes.some((node) => value(node) !== ''),
  )
  // Titles, and a line that counts the rest when not all fit.
  const fits = nodes.length + 1 <= room
  const shown = fits ? nodes : mostUrgent(nodes, Math.max(0, room - 2))
  const rest = fits ? [] : [paint('dim', restText(nodes, nodes.length - shown.length))]
  return room === 0 ? [] : [...table(shown, used, { paint }), ...rest].slice(0, room)
}

function mostUrgent(nodes: readonly UpNode[], count: number): UpNode[] {
  const byUrgency = nodes.toSorted((a, b) => URGENCY.indexOf(a.state) - URGENCY.indexOf(b.state))
  const chosen = new Set(byUrgency.slice(0, count))
  return nodes.filter((node) => chosen.has(node))
}

function restText(nodes: readonly UpNode[], hidden: number): string {
  const ready = nodes.filter(({ state }) => state === 'ready').length
  return `… and ${hidden} more; ${ready} of ${nodes.length} ready`
}

function memoryText({ memoryBytes }: UpNode): string {
  return memoryBytes === undefined ? '' : bytes(memoryBytes)
}

function countText(samples: number | undefined): string {
  return samples === undefined ? '' : count(samples)
}

function rateText({ perSecond }: UpNode): string {
  return perSecond === undefined ? '' : rate(perSecond)
}
