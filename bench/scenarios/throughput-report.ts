// What the runs of `throughput` say.
import type { Cell, Plot, Report, Section, Table } from '../report/report.ts'
import type { NativeRun, Run } from '../result.ts'
import { byCell } from '../stats/by-cell.ts'
import {
  compare,
  FIGURES,
  floorOf,
  floorText,
  median,
  ratioText,
  voidText,
  type Figure,
} from '../stats/figures.ts'
import { payloadName } from './payloads.ts'

export function throughputReport(
  question: string,
  runs: readonly Run[],
  natives: readonly NativeRun[],
): Report {
  const byTier = Map.groupBy(runs, ({ setting }) => setting.tier)
  return {
    title: 'Throughput',
    question,
    sections: [
      ...[...byTier].map(([tier, of]) => tierSection(tier, of)),
      ...(natives.length === 0 ? [] : [nativeSection(natives)]),
    ],
  }
}

function tierSection(tier: string, runs: readonly Run[]): Section {
  const byPayload = Map.groupBy(runs, ({ load }) => payloadName(load))
  const rows: Cell[][] = []
  for (const [payload, of] of byPayload) {
    const { cells, controls } = byCell(of)
    const [first] = cells.values()
    const floor = floorOf(first!, controls, FIGURES.receiptsPerSecond)
    for (const [name, own] of cells) {
      const ratio =
        own === first ? undefined : compare(first!, own, FIGURES.receiptsPerSecond, floor)
      rows.push([
        payload,
        name,
        median(own, FIGURES.receiptsPerSecond),
        median(own, FIGURES.messagesPerSecond),
        median(own, MEGABYTES_PER_SECOND),
        median(own, FIGURES.cpuPerMillion),
        median(own, FSYNCS_PER_THOUSAND),
        own === first ? floorText(floor, controls) : ratioText(ratio),
        voidText(own),
      ])
    }
  }
  const [first = ''] = byCell(runs).cells.keys()
  const table: Table = {
    columns: [
      { name: 'payload' },
      { name: 'system' },
      { name: 'receipts', unit: 'samples/s' },
      { name: 'messages', unit: '/s' },
      { name: 'sent', unit: 'MB/s' },
      { name: 'CPU', unit: 's / million' },
      { name: 'fsyncs', unit: '/ 1,000 messages' },
      { name: `${first} over it`, unit: 'ratio' },
      { name: '' },
    ],
    rows,
  }
  return {
    title: `Vouched for as ${tier}`,
    finding: `${TIERS[tier]} Medians over blocks; above 1 the first system is faster, ≈ is no difference.`,
    tables: [table],
    plots: [bars(byPayload)],
  }
}

const TIERS: Readonly<Record<string, string>> = {
  synced: 'Each receipt came after the fsync of what it vouches for, counted by the kernel.',
  written: 'Receipts came when the operating system had the bytes: a power cut may lose them.',
  received: 'Receipts came from memory: a crash of the server may lose what they vouch for.',
}

const MEGABYTES_PER_SECOND: Figure = ({ cost }) => cost.sentBytes / cost.seconds / 1e6
const FSYNCS_PER_THOUSAND: Figure = ({ cost }) =>
  cost.fsyncs === undefined || cost.sentMessages === 0
    ? undefined
    : (1000 * cost.fsyncs) / cost.sentMessages

function bars(byPayload: ReadonlyMap<string, readonly Run[]>): Plot {
  const names = new Set([...byPayload.values()].flatMap((runs) => [...byCell(runs).cells.keys()]))
  return {
    title: 'Samples a second',
    kind: 'bars',
    x: { label: 'payload' },
    y: { label: 'receipts', unit: 'samples/s', scale: 'log' },
    series: [...names].map((name) => ({
      name,
      points: [...byPayload].flatMap(([payload, runs]) => {
        const y = median(byCell(runs).cells.get(name) ?? [], FIGURES.receiptsPerSecond)
        return y === undefined ? [] : [{ x: payload, y }]
      }),
    })),
  }
}

function nativeSection(natives: readonly NativeRun[]): Section {
  return {
    title: "Our clients beside the vendors' own tools",
    finding:
      "The same messages into the same server, by the vendor's tool and by the client that this bench " +
      'uses. Below 60 % a figure above says more of the client than of the system.',
    tables: [
      {
        columns: [
          { name: 'system' },
          { name: 'tool' },
          { name: 'payload' },
          { name: 'tool', unit: 'messages/s' },
          { name: 'our client', unit: 'messages/s' },
          { name: 'share', unit: '%' },
        ],
        rows: natives.map(({ system, tool, payload, messagesPerSecond, oursPerSecond }) => [
          system,
          tool,
          payload,
          messagesPerSecond,
          oursPerSecond,
          (100 * oursPerSecond) / messagesPerSecond,
        ]),
      },
    ],
  }
}
