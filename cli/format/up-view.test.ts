import { describe, expect, test } from 'vitest'
import { LiveRegion } from './live-region.ts'
import { coloured } from './paint.ts'
import { upView, type UpNode, type UpState } from './up-view.ts'
import { displayWidth } from './width.ts'

const node = (index: number, change: Partial<UpNode> = {}): UpNode => ({
  name: `storage-${index}`,
  role: 'storage',
  state: 'ready',
  pid: 4710 + index,
  memoryBytes: 71 * 2 ** 20,
  endpoint: `tcp://127.0.0.1:770${index}`,
  ...change,
})

const state: UpState = {
  mesh: 'skein',
  transport: 'zeromq',
  uptimeMs: 125_000,
  urls: ['http://127.0.0.1:8080'],
  nodes: [node(1), node(2)],
  publishedPerSecond: 4,
  storedPerSecond: 4,
  storedP50Us: 1200,
  storedP99Us: 3400,
  pendingSamples: 0,
  droppedSamples: 0,
  messages: ['storage-2 joined'],
}

const wide = { columns: 100, rows: 30 }

describe('upView', () => {
  test('shows the mesh, its flow, its nodes and the last messages', () => {
    expect(upView(state, wide)).toEqual([
      'skein · zeromq · up 2m 05s · http://127.0.0.1:8080',
      '4/s published   4/s stored   p50 1.20 ms   p99 3.40 ms   outbox 0 B',
      '',
      'NODE       ROLE     STATE   PID    MEMORY  ENDPOINT',
      'storage-1  storage  ready  4711  71.0 MiB  tcp://127.0.0.1:7701',
      'storage-2  storage  ready  4712  71.0 MiB  tcp://127.0.0.1:7702',
      '',
      'storage-2 joined',
    ])
  })

  test('drops and latencies - only when there are any', () => {
    const { storedP50Us: _p50, storedP99Us: _p99, ...early } = state
    expect(upView({ ...early, droppedSamples: 7 }, wide)[1]).toBe(
      '4/s published   4/s stored   outbox 0 B   7 dropped',
    )
  })

  test('narrow - no line is wider than the terminal, coloured or not', () => {
    for (const columns of [1, 20, 47]) {
      const lines = upView(state, { columns, rows: 30 }, coloured)
      expect(Math.max(...lines.map(displayWidth))).toBeLessThanOrEqual(columns)
    }
  })

  test('low - what does not fit is counted, and nodes in trouble are shown first', () => {
    const nodes = Array.from({ length: 20 }, (_, index) => node(index))
    nodes[17] = node(17, { state: 'degraded', note: 'disk full' })
    const lines = upView({ ...state, nodes }, { columns: 100, rows: 9 })
    expect(lines).toHaveLength(8)
    expect(lines.slice(4).map((line) => line.split(' ')[0])).toEqual([
      'storage-0',
      'storage-1',
      'storage-17',
      '…',
    ])
    expect(lines.at(-1)).toBe('… and 17 more; 19 of 20 ready')
    for (let rows = 1; rows < 12; rows++) {
      const { length } = upView({ ...state, nodes }, { columns: 80, rows })
      expect(length).toBeLessThanOrEqual(Math.max(1, rows - 1))
    }
  })
})

describe('LiveRegion', () => {
  const size = { columns: 10, rows: 4 }

  test('a drawing goes back over the one before and erases it', () => {
    const region = new LiveRegion()
    expect(region.draw(['a', 'b'], size)).toBe('\x1b[?2026h\x1b[?25la\nb\n\x1b[?2026l')
    expect(region.draw(['c'], size)).toBe('\x1b[?2026h\x1b[?25l\x1b[2A\r\x1b[Jc\n\x1b[?2026l')
    expect(region.draw(['d'], size)).toContain('\x1b[1A')
  })

  test('lines are cut to the terminal in both directions', () => {
    const text = new LiveRegion().draw(['0123456789ab', '2', '3', '4'], size)
    expect(text).toContain('012345678…\n2\n3\n')
    expect(text).not.toContain('4\n')
  })

  test('a log line goes above, and the end gives the cursor back', () => {
    const region = new LiveRegion()
    region.draw(['a'], size)
    expect(region.print('joined')).toBe('\x1b[1A\r\x1b[Jjoined\n')
    expect(region.draw(['a'], size)).not.toContain('\x1b[J')
    expect(region.end()).toBe('\x1b[?25h')
  })
})
