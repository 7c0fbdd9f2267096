// What our zeromq transport costs over raw zeromq.js, link by link: two processes on one machine, a
// DEALER sending to a ROUTER, against publish() to a subscriber. One-way latency at 1,000 messages a
// second, and messages a second flat out.
//
//   node bench/transport.ts [rounds]        3 rounds by default; the medians are printed
//
// Latency is taken from the call that sends to the handler that receives, on the monotonic clock that
// both processes share. The timer that paces the calls is left out: it is the same for both.
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cpus } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Dealer, Router } from 'zeromq'
import type { MeshId, PeerId } from '../mesh/names.ts'
import { systemClock, systemRandom } from '../mesh/system.ts'
import { createTransport } from '../mesh/transports/index.ts'

const MESH = '0123456789abcdef' as MeshId
const TOPIC = 't/17/vehicle.motion'
const LATENCY_MESSAGES = 3000
const LATENCY_BYTES = 200
const FLAT_OUT_MS = 1500
const FLAT_OUT_BYTES = [200, 5000] as const

type System = 'raw' | 'skein'

/** What the receiving process says when it is asked. */
interface Tally {
  readonly count: number
  readonly latenciesUs: readonly number[]
}

const nowUs = (): number => Number(process.hrtime.bigint()) / 1000

// ---- the receiving process -------------------------------------------------------------------

class Receiver {
  private count = 0
  private latenciesUs: number[] = []

  onMessage(bytes: Buffer): void {
    this.count += 1
    const sentUs = bytes.readDoubleLE(0)
    // Flat-out messages carry no time.
    if (sentUs > 0) this.latenciesUs.push(nowUs() - sentUs)
  }

  take(): Tally {
    const tally = { count: this.count, latenciesUs: this.latenciesUs }
    this.count = 0
    this.latenciesUs = []
    return tally
  }
}

async function receiveRaw(receiver: Receiver): Promise<{ endpoint: string }> {
  const router = new Router({ receiveHighWaterMark: 1000 })
  await router.bind('tcp://127.0.0.1:*')
  void (async () => {
    for await (const [, bytes] of router) receiver.onMessage(bytes!)
  })()
  return { endpoint: router.lastEndpoint! }
}

async function receiveSkein(receiver: Receiver): Promise<{ endpoint: string; peerId: PeerId }> {
  const transport = await openTransport('tcp://127.0.0.1:0')
  await transport.subscribe('t/>', (batch) => {
    for (const { bytes } of batch) receiver.onMessage(bytes)
  })
  return { endpoint: transport.endpoint!, peerId: transport.peerId }
}

async function receive(system: System): Promise<void> {
  const receiver = new Receiver()
  const where = await (system === 'raw' ? receiveRaw(receiver) : receiveSkein(receiver))
  process.on('message', () => process.send!(receiver.take()))
  process.on('disconnect', () => process.exit(0))
  process.send!(where)
}

// ---- the sending process ---------------------------------------------------------------------

interface Sender {
  /** Sends one message; a promise when the caller must wait before the next. */
  send(bytes: Buffer): Promise<void> | undefined
  /** Everything has left this process. */
  finish(): Promise<void>
  close(): Promise<void> | void
}

async function openTransport(bind?: string) {
  const transport = await createTransport({
    name: 'zeromq',
    meshId: MESH,
    clock: systemClock,
    random: systemRandom,
    ...(bind !== undefined && { bind }),
  })
  await transport.open()
  return transport
}

function rawSender(endpoint: string): Sender {
  const dealer = new Dealer({ linger: 0, immediate: true })
  dealer.connect(endpoint)
  return {
    send: (bytes) => dealer.send(bytes),
    finish: () => Promise.resolve(),
    close: () => dealer.close(),
  }
}

async function skeinSender(endpoint: string, peerId: PeerId): Promise<Sender> {
  const transport = await openTransport()
  const linked = Promise.withResolvers<void>()
  transport.onLink(({ up }) => {
    if (up) linked.resolve()
  })
  transport.link(endpoint)
  await linked.promise
  return {
    send: (bytes) => (transport.publish(TOPIC, bytes, peerId) ? undefined : transport.flush()),
    finish: () => transport.flush(),
    close: () => transport.close(),
  }
}

class Pair {
  readonly sender: Sender
  private readonly child: ChildProcess

  private constructor(sender: Sender, child: ChildProcess) {
    this.sender = sender
    this.child = child
  }

  static async start(system: System): Promise<Pair> {
    const child = fork(fileURLToPath(import.meta.url), ['receive', system])
    const [where] = (await once(child, 'message')) as [{ endpoint: string; peerId: PeerId }]
    const sender =
      system === 'raw' ? rawSender(where.endpoint) : await skeinSender(where.endpoint, where.peerId)
    return new Pair(sender, child)
  }

  async tally(): Promise<Tally> {
    this.child.send('tally')
    const [tally] = (await once(this.child, 'message')) as [Tally]
    return tally
  }

  async stop(): Promise<void> {
    await this.sender.close()
    this.child.disconnect()
    await once(this.child, 'exit')
  }
}

/** Sorted one-way latencies in microseconds. */
async function latencies(pair: Pair): Promise<number[]> {
  const startUs = nowUs()
  for (let sent = 0; sent < LATENCY_MESSAGES; sent += 1) {
    const dueUs = startUs + sent * 1000
    if (nowUs() < dueUs) await delay(1)
    const bytes = Buffer.alloc(LATENCY_BYTES)
    bytes.writeDoubleLE(nowUs(), 0)
    await pair.sender.send(bytes)
  }
  const all: number[] = []
  while (all.length < LATENCY_MESSAGES) {
    all.push(...(await pair.tally()).latenciesUs)
    await delay(5)
  }
  return all.sort((a, b) => a - b)
}

/** Messages a second, from the first sent to the last received. */
async function flatOut(pair: Pair, length: number): Promise<number> {
  const bytes = Buffer.alloc(length)
  const startUs = nowUs()
  const endUs = startUs + FLAT_OUT_MS * 1000
  let sent = 0
  while (nowUs() < endUs) {
    for (let burst = 0; burst < 64; burst += 1) {
      const wait = pair.sender.send(bytes)
      if (wait !== undefined) await wait
      sent += 1
    }
  }
  await pair.sender.finish()
  let got = 0
  while (got < sent) {
    got += (await pair.tally()).count
    if (got < sent) await delay(1)
  }
  return sent / ((nowUs() - startUs) / 1e6)
}

interface Round {
  p50Us: number
  p99Us: number
  perSecond: number[]
}

async function runRound(system: System): Promise<Round> {
  const pair = await Pair.start(system)
  try {
    // Warm-up: the code is compiled and the link is used to its credit.
    await flatOut(pair, LATENCY_BYTES)
    await pair.tally()
    const sorted = await latencies(pair)
    const perSecond: number[] = []
    for (const length of FLAT_OUT_BYTES) perSecond.push(await flatOut(pair, length))
    const at = (quantile: number): number => sorted[Math.floor(sorted.length * quantile)]!
    return { p50Us: at(0.5), p99Us: at(0.99), perSecond }
  } finally {
    await pair.stop()
  }
}

const median = (values: number[]): number =>
  values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!

function spread(values: readonly number[], digits: number): string {
  const [least, most] = [Math.min(...values), Math.max(...values)]
  return `${median([...values]).toFixed(digits)} (${least.toFixed(digits)}–${most.toFixed(digits)})`
}

async function main(rounds: number): Promise<void> {
  const results: Record<System, Round[]> = { raw: [], skein: [] }
  for (let round = 0; round < rounds; round += 1) {
    // Alternating, so that a slow minute of the machine meets both.
    for (const system of ['raw', 'skein'] as const) results[system].push(await runRound(system))
  }
  const rows: [string, (round: Round) => number, number][] = [
    ['one-way p50, µs', ({ p50Us }) => p50Us, 0],
    ['one-way p99, µs', ({ p99Us }) => p99Us, 0],
    ...FLAT_OUT_BYTES.map((length, index): [string, (round: Round) => number, number] => [
      `flat out ${length} B, messages/s`,
      ({ perSecond }) => perSecond[index]!,
      0,
    ]),
    ...FLAT_OUT_BYTES.map((length, index): [string, (round: Round) => number, number] => [
      `flat out ${length} B, MB/s`,
      ({ perSecond }) => (perSecond[index]! * length) / 1e6,
      0,
    ]),
  ]
  const { length: cores } = cpus()
  process.stdout.write(
    `node ${process.version}, ${cores} cores; ${rounds} rounds: median (least–most)\n`,
  )
  for (const [title, pick, digits] of rows) {
    const raw = results.raw.map(pick)
    const skein = results.skein.map(pick)
    const ratio = median([...skein]) / median([...raw])
    process.stdout.write(
      `${title.padEnd(30)} raw ${spread(raw, digits).padEnd(28)} skein ${spread(skein, digits).padEnd(30)} skein/raw ${ratio.toFixed(2)}\n`,
    )
  }
}

const [first, second] = process.argv.slice(2)
if (first === 'receive') await receive(second === 'raw' ? 'raw' : 'skein')
else await main(Number(first ?? 3))
