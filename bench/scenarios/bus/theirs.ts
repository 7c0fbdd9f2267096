// What those who built the buses' system measured, cited beside ours: other machines, another load.
import type { Section } from '../../report/report.ts'

export const theirs: Section = {
  title: 'What they measured',
  finding:
    'The figures of those who built this system on Kafka, on their machines: cited as theirs, not ' +
    'compared with anything above.',
  tables: [
    {
      columns: [
        { name: '' },
        { name: 'throughput', unit: 'messages/s' },
        { name: 'throughput', unit: 'MB/s' },
        { name: 'mean', unit: 'ms' },
        { name: 'p50', unit: 'ms' },
        { name: 'p95', unit: 'ms' },
        { name: 'p99', unit: 'ms' },
        { name: 'p99.9', unit: 'ms' },
      ],
      rows: [
        ["Kafka's own producer tool, 3 brokers", '73,909.8', '72.18', '259.93', 263, 338, 353, 358],
        [
          'their application',
          '17,703.65',
          undefined,
          undefined,
          undefined,
          undefined,
          undefined,
          undefined,
        ],
      ],
    },
  ],
}
