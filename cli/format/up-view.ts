// What `skein up` shows while it runs: a pure function of its state, so that a test reads it and a
// resize only calls it again.
//
//   skein · zeromq · up 2m 05s · http://127.0.0.1:8080
//   4.00/s published   4.00/s stored   stored p50 1.20 ms p99 3.40 ms   0 waiting
//
//   NODE       ROLE     STATE  PID   MEMORY    ENDPOINT
//   storage-1  storage  ready  4711  71.0 MiB  tcp://127.0.0.1:7701
import { plain, type Paint } from './paint.ts'
import type { TerminalSize } from './live-region.ts'
import { table, type Column } from './table.ts'
import { bytes, count, durationMs, durationUs, rate } from './units.ts'
import { fit } from './width.ts'

export type NodeState = 'starting' | 'ready' | 'degraded' | 'restarting' | 'stopping' | 'stopped'

export interface UpNode {
  readonly name: string
  readonly role: string
  readonly state: NodeState
  readonly pid?: number
  readonly memoryBytes?: number
  readonly endpoint?: string
  /** Why it is not ready, or what else there is to say. */
  readonly note?: string
}

export interface UpState {
  readonly mesh: string
  readonly transport: string
  readonly uptimeMs: number
  /** Where to look: dashboard, API. */
  readonly urls: readonly string[]
  readonly nodes: readonly UpNode[]
  readonly publishedPerSecond: number
  /** Acknowledged by W stores. */
  readonly storedPerSecond: number
  /** From publish to acknowledgement; absent before the first one. */
  readonly storedP50Us?: number
  readonly storedP99Us?: number
  /** From planned time to a live subscriber in another process; absent before the first one. */
  readonly liveP50Us?: number
  readonly liveP99Us?: number
  readonly pendingSamples: number
  /** Refused and dropped since the start. */
  readonly droppedSamples: number
  /** Newest first. */
  readonly messages: readonly string[]
}

/** `live p50 1.20 ms p99 3.40 ms`, once there is something to say. */
function latency(what: string, p50Us: number | undefined, p99Us: number | undefined): string[] {
  if (p50Us === undefined || p99Us === undefined) return []
  return [`${what} p50 ${durationUs(p50Us)} p99 ${durationUs(p99Us)}`]
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

/** At most `rows - 1` lines, none wider than `columns`. */
export function upView(state: UpState, size: TerminalSize, paint: Paint = plain): string[] {
  const head = [titleLine(state, paint), flowLine(state, paint), '']
  const room = Math.max(0, size.rows - 1 - head.length)
  const nodes = nodeLines(state.nodes, room, paint)
  const messageRoom = Math.max(0, room - nodes.length - 1)
  const messages = state.messages.slice(0, messageRoom)
  const tail = messages.length === 0 ? [] : ['', ...messages.map((text) => paint('dim', text))]
  return [...head, ...nodes, ...tail]
    .slice(0, Math.max(1, size.rows - 1))
    .map((line) => fit(line, size.columns))
}

function titleLine({ mesh, transport, uptimeMs, urls }: UpState, paint: Paint): string {
  const parts = [paint('bold', mesh), transport, `up ${durationMs(uptimeMs)}`, ...urls]
  return parts.join(' · ')
}

function flowLine(state: UpState, paint: Paint): string {
  const { droppedSamples } = state
  const parts = [
    `${rate(state.publishedPerSecond)} published`,
    `${rate(state.storedPerSecond)} stored`,
    ...latency('stored', state.storedP50Us, state.storedP99Us),
    ...latency('live', state.liveP50Us, state.liveP99Us),
  ]
  parts.push(`${count(state.pendingSamples)} waiting`)
  if (droppedSamples > 0) parts.push(paint('red', `${droppedSamples} dropped`))
  return parts.join('   ')
}

function nodeLines(nodes: readonly UpNode[], room: number, paint: Paint): string[] {
  const columns: readonly Column<UpNode>[] = [
    { title: 'NODE', value: ({ name }) => name },
    { title: 'ROLE', value: ({ role }) => role },
    { title: 'STATE', value: ({ state }) => paint(STATE_STYLES[state], state) },
    { title: 'PID', value: ({ pid }) => String(pid ?? ''), align: 'right' },
    { title: 'MEMORY', value: memoryText, align: 'right' },
    { title: 'ENDPOINT', value: ({ endpoint }) => endpoint ?? '' },
    { title: 'NOTE', value: ({ note }) => note ?? '' },
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
