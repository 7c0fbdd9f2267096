// What one storage peer's disk path costs: frames through the writer to a synced level store, at the
// rates it is meant to hold, and the bare append + fdatasync of the same disk in the same run.
// `npx node bench/store.ts [seconds]`, one line each. The load is offered on a fixed schedule.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import {
  encodeFrame,
  readFrame,
  systemClock,
  type Epoch,
  type Frame,
  type SchemaId,
} from '../mesh/index.ts'
import { openLevelStore } from '../storage/level/level-store.ts'
import { Writer } from '../storage/writer.ts'

const seconds = Number(process.argv[2] ?? 5)
const parent = process.env['SKEIN_BENCH_DIR'] ?? os.tmpdir()

interface Load {
  readonly name: string
  readonly bodyBytes: number
  readonly framesPerSecond: number
  readonly lanes: number
}

const LOADS: readonly Load[] = [
  { name: '3 KB frames', bodyBytes: 2900, framesPerSecond: 7000, lanes: 1000 },
  { name: '130 B frames', bodyBytes: 50, framesPerSecond: 30_000, lanes: 10_000 },
  { name: '3 KB frames, flat out', bodyBytes: 2900, framesPerSecond: Infinity, lanes: 1000 },
  { name: '130 B frames, flat out', bodyBytes: 50, framesPerSecond: Infinity, lanes: 10_000 },
]

await bareSync()
for (const load of LOADS) await run(load)

async function run({ name, bodyBytes, framesPerSecond, lanes }: Load): Promise<void> {
  const directory = fs.mkdtempSync(path.join(parent, 'skein-bench-'))
  const store = await openLevelStore({ directory })
  const latencyMs: number[] = []
  const writer = new Writer<number>({
    store,
    clock: systemClock,
    onCommitted: (results) => {
      const now = performance.now()
      for (let i = 0; i < results.length; i += 64) latencyMs.push(now - results[i]!.origin!)
    },
  })
  const total = Math.round(Math.min(framesPerSecond, bodyBytes > 1000 ? 20_000 : 150_000) * seconds)
  // Made beforehand and read as ingest reads them, so that only the store's own work is timed.
  const frames = Array.from({ length: total }, (_, i) => makeFrame(i, lanes, bodyBytes))
  const cpu = process.cpuUsage()
  const start = performance.now()
  let offered = 0
  while (offered < total) {
    const due = Math.min(total, ((performance.now() - start) / 1000) * framesPerSecond)
    while (offered < due && writer.offer(frames[offered]!, performance.now()) === 'queued')
      offered += 1
    await pause(framesPerSecond === Infinity ? 0 : 1)
  }
  await writer.drain()
  const elapsed = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(cpu)
  latencyMs.sort((a, b) => a - b)
  const at = (q: number): string => (latencyMs[Math.floor(latencyMs.length * q)] ?? 0).toFixed(2)
  console.log(
    `${name.padEnd(24)} ${Math.round(total / elapsed)} frames/s` +
      `  ${((user + system) / total).toFixed(2)} µs CPU/frame` +
      `  ${((user + system) / 10_000 / elapsed).toFixed(0)} % of a core` +
      `  ${Math.round(writer.counters.fsyncs / elapsed)} syncs/s` +
      `  commit p50 ${at(0.5)} p99 ${at(0.99)} ms`,
  )
  await writer.close()
  await store.close()
  fs.rmSync(directory, { recursive: true })
}

function makeFrame(i: number, lanes: number, bodyBytes: number): Frame {
  const body = Buffer.alloc(bodyBytes, i)
  const timeUs = 1_767_225_600_000_000 + i * 100
  const bytes = encodeFrame(
    {
      kind: 'data',
      codec: 'columnar',
      source: `VH${String(i % lanes).padStart(5, '0')}`,
      stream: 'vehicle.motion',
      epoch: '019b76da7fdc0001' as Epoch,
      sequence: Math.floor(i / lanes) + 1,
      firstUs: timeUs,
      lastUs: timeUs,
      count: 1,
      schemaId: '0011223344556677' as SchemaId,
    },
    body,
  )
  return readFrame(bytes) as Frame
}

async function bareSync(): Promise<void> {
  const file = path.join(parent, `skein-bench-sync-${process.pid}`)
  const handle = await fs.promises.open(file, 'w')
  const times: number[] = []
  for (let i = 0; i < 1000; i++) {
    const start = performance.now()
    await handle.write(Buffer.alloc(4096, 1))
    await handle.datasync()
    times.push(performance.now() - start)
  }
  await handle.close()
  fs.unlinkSync(file)
  times.sort((a, b) => a - b)
  console.log(`${'4 KiB append+fdatasync'.padEnd(24)} p50 ${times[500]!.toFixed(3)} ms`)
}

/** A turn of the event loop, or a millisecond as a network would leave between reads. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    if (ms === 0) setImmediate(resolve)
    else setTimeout(resolve, ms)
  })
}
