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
  samples: 332,
  perSecond: 2.67,
  lag: '0',
  address: `http://127.0.0.1:770${index}`,
  ...change,
})

const state: UpState = {
  mesh: 'skein',
  transport: 'zeromq',
  uptimeMs: 125_900,
  flows: [
    { name: 'published', perSecond: 4, total: 500 },
    { name: 'stored', perSecond: 4, total: 498, p50Us: 1200, p99Us: 3400, note: '2 waiting' },
    { name: 'live', perSecond: 4, total: 500 },
  ],
  nodes: [node(1), node(2)],
  messages: ['storage-2 was ended by SIGKILL'],
  hint: 'Ctrl-C ends',
}

const wide = { columns: 100, rows: 30 }

describe('upView', () => {
  test('shows the mesh, its flow, its nodes, the last messages and what to do next', () => {
    expect(upView(state, wide)).toEqual([
      'skein · zeromq · up 2m 05s',
      '',
      'FLOW          RATE  TOTAL      P50      P99',
      'published      4/s    500',
      'stored         4/s    498  1.20 ms  3.40 ms  2 waiting',
      'live           4/s    500',
      '',
      'NODE       STATE   PID    MEMORY  SAMPLES     RATE  LAG  ADDRESS',
      'storage-1  ready  4711  71.0 MiB      332   2.67/s    0  127.0.0.1:7701',
      'storage-2  ready  4712  71.0 MiB      332   2.67/s    0  127.0.0.1:7702',
      '',
      'storage-2 was ended by SIGKILL',
      'Ctrl-C ends',
    ])
  })

  test('what is lost and who refuses - in red', () => {
    const flows: UpState['flows'] = [
      { name: 'published', perSecond: 4, total: 9, note: '7 refused', isBad: true },
    ]
    const nodes = [node(1, { state: 'degraded' })]
    const lines = upView({ ...state, flows, nodes }, wide, coloured).join('\n')
    expect(lines).toContain('\x1b[31m7 refused\x1b[39m')
    expect(lines).toContain('\x1b[31mdegraded\x1b[39m')
  })

  test('narrow - no line is wider than the terminal, coloured or not', () => {
    for (const columns of [1, 20, 47]) {
      const lines = upView(state, { columns, rows: 30 }, coloured)
      expect(Math.max(...lines.map(displayWidth))).toBeLessThanOrEqual(columns)
    }
  })

  test('low - what does not fit is counted, and nodes in trouble are shown first', () => {
    const nodes = Array.from({ length: 20 }, (_, index) => node(index))
    nodes[17] = node(17, { state: 'degraded' })
    const lines = upView({ ...state, nodes }, { columns: 100, rows: 9 })
    expect(lines).toHaveLength(8)
    expect(lines.slice(3).map((line) => line.split(' ')[0])).toEqual([
      'storage-0',
      'storage-1',
      'storage-2',
      'storage-17',
      '…',
    ])
    expect(lines.at(-1)).toBe('… and 16 more; 19 of 20 ready')
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

  test('lines that a narrower terminal has wrapped are erased with what they wrapped to', () => {
    const region = new LiveRegion()
    region.draw(['0123456789', 'b'], size)
    expect(region.draw(['c'], { columns: 4, rows: 4 })).toContain('\x1b[4A\r\x1b[J')
  })

  test('the end gives the cursor back', () => {
    const region = new LiveRegion()
    region.draw(['a'], size)
    expect(region.end()).toBe('\x1b[?25h')
    expect(region.draw(['a'], size)).not.toContain('\x1b[J')
  })
})
