// What our zeromq transport costs over raw zeromq.js, link by link: two processes on one machine, a
// DEALER sending to a ROUTER, against publish() to a subscriber. One-way latency at 1,000 messages a
// second, and messages a second flat out.
//
//   node bench/transport.ts [rounds]        5 rounds by default; the medians are printed
//
// Both systems live in the same two processes, and take turns message by message for the latency, so
// that a busy machine disturbs both alike. Latency is taken from the call that sends to the handler
// that receives, on the monotonic clock that both processes share; how late a timer paces the calls
// is left out, since it is the same for both.
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
/** Of each system, in each round. */
const LATENCY_MESSAGES = 1500
const LATENCY_BYTES = 200
const FLAT_OUT_MS = 1000
const FLAT_OUT_BYTES = [200, 5000] as const

const SYSTEMS = ['raw', 'skein'] as const
type System = (typeof SYSTEMS)[number]

/** Where the receiving process listens: its first message. */
interface Where {
  readonly raw: string
  readonly skein: string
  readonly peerId: PeerId
}

/** What one receiver has got since it was last asked. */
interface Tally {
  readonly count: number
  readonly latenciesUs: readonly number[]
}

type Tallies = Record<System, Tally>

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

async function receive(): Promise<void> {
  const receivers = { raw: new Receiver(), skein: new Receiver() }
  const router = new Router()
  await router.bind('tcp://127.0.0.1:*')
  void (async () => {
    for await (const [, bytes] of router) receivers.raw.onMessage(bytes!)
  })()
  const transport = await openTransport('tcp://127.0.0.1:0')
  await transport.subscribe('t/>', (batch) => {
    for (const { bytes } of batch) receivers.skein.onMessage(bytes)
  })
  process.on('message', () => {
    const tallies: Tallies = { raw: receivers.raw.take(), skein: receivers.skein.take() }
    process.send!(tallies)
  })
  process.on('disconnect', () => process.exit(0))
  const where: Where = {
    raw: router.lastEndpoint!,
    skein: transport.endpoint!,
    peerId: transport.peerId,
  }
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
  readonly senders: Record<System, Sender>
  private readonly child: ChildProcess

  private constructor(senders: Record<System, Sender>, child: ChildProcess) {
    this.senders = senders
    this.child = child
  }

  static async start(): Promise<Pair> {
    const child = fork(fileURLToPath(import.meta.url), ['receive'])
    const [where] = (await once(child, 'message')) as [Where]
    const senders = {
      raw: rawSender(where.raw),
      skein: await skeinSender(where.skein, where.peerId),
    }
    return new Pair(senders, child)
  }

  async tally(): Promise<Tallies> {
    this.child.send('tally')
    const [tallies] = (await once(this.child, 'message')) as [Tallies]
    return tallies
  }

  async stop(): Promise<void> {
    for (const system of SYSTEMS) await this.senders[system].close()
    this.child.disconnect()
    await once(this.child, 'exit')
  }
}

/** Sorted one-way latencies in microseconds. */
async function latencies(pair: Pair): Promise<Record<System, number[]>> {
  const startUs = nowUs()
  let sent = 0
  for (let turn = 0; turn < LATENCY_MESSAGES; turn += 1) {
    for (const system of SYSTEMS) {
      if (nowUs() < startUs + sent * 1000) await delay(1)
      const bytes = Buffer.alloc(LATENCY_BYTES)
      bytes.writeDoubleLE(nowUs(), 0)
      await pair.senders[system].send(bytes)
      sent += 1
    }
  }
  const all: Record<System, number[]> = { raw: [], skein: [] }
  while (all.raw.length + all.skein.length < sent) {
    const tallies = await pair.tally()
    for (const system of SYSTEMS) all[system].push(...tallies[system].latenciesUs)
    await delay(5)
  }
  for (const system of SYSTEMS) all[system].sort((a, b) => a - b)
  return all
}

/** Messages a second, from the first sent to the last received. */
async function flatOut(pair: Pair, system: System, length: number): Promise<number> {
  const sender = pair.senders[system]
  const bytes = Buffer.alloc(length)
  const startUs = nowUs()
  const endUs = startUs + FLAT_OUT_MS * 1000
  let sent = 0
  while (nowUs() < endUs) {
    for (let burst = 0; burst < 64; burst += 1) {
      const wait = sender.send(bytes)
      if (wait !== undefined) await wait
      sent += 1
    }
  }
  await sender.finish()
  let got = 0
  while (got < sent) {
    got += (await pair.tally())[system].count
    if (got < sent) await delay(1)
  }
  return sent / ((nowUs() - startUs) / 1e6)
}

interface Round {
  p50Us: number
  p99Us: number
  perSecond: number[]
}

async function runRound(): Promise<Record<System, Round>> {
  const pair = await Pair.start()
  const at = (sorted: readonly number[], quantile: number): number =>
    sorted[Math.floor(sorted.length * quantile)]!
  try {
    // Warm-up: the code is compiled and the links are used to their credit.
    for (const system of SYSTEMS) await flatOut(pair, system, LATENCY_BYTES)
    const sorted = await latencies(pair)
    const round = (system: System): Round => ({
      p50Us: at(sorted[system], 0.5),
      p99Us: at(sorted[system], 0.99),
      perSecond: [],
    })
    const rounds = { raw: round('raw'), skein: round('skein') }
    for (const length of FLAT_OUT_BYTES) {
      for (const system of SYSTEMS) {
        rounds[system].perSecond.push(await flatOut(pair, system, length))
      }
    }
    return rounds
  } finally {
    await pair.stop()
  }
}

const median = (values: number[]): number =>
  values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!

function spread(values: readonly number[]): string {
  const [least, most] = [Math.min(...values), Math.max(...values)]
  return `${median([...values]).toFixed(0)} (${least.toFixed(0)}–${most.toFixed(0)})`
}

async function main(rounds: number): Promise<void> {
  const results: Record<System, Round[]> = { raw: [], skein: [] }
  for (let count = 0; count < rounds; count += 1) {
    const round = await runRound()
    for (const system of SYSTEMS) results[system].push(round[system])
  }
  const rows: [string, (round: Round) => number][] = [
    ['one-way p50, µs', ({ p50Us }) => p50Us],
    ['one-way p99, µs', ({ p99Us }) => p99Us],
  ]
  for (const [index, length] of FLAT_OUT_BYTES.entries()) {
    const perSecond = (round: Round): number => round.perSecond[index]!
    rows.push([`flat out ${length} B, messages/s`, perSecond])
    rows.push([`flat out ${length} B, MB/s`, (round) => (perSecond(round) * length) / 1e6])
  }
  const { length: cores } = cpus()
  process.stdout.write(
    `node ${process.version}, ${cores} cores; ${rounds} rounds: median (least–most)\n`,
  )
  for (const [title, pick] of rows) {
    const raw = results.raw.map(pick)
    const skein = results.skein.map(pick)
    const ratio = median([...skein]) / median([...raw])
    process.stdout.write(
      `${title.padEnd(30)} raw ${spread(raw).padEnd(28)} skein ${spread(skein).padEnd(30)} skein/raw ${ratio.toFixed(2)}\n`,
    )
  }
}

const [argument = '5'] = process.argv.slice(2)
if (argument === 'receive') await receive()
else await main(Number(argument))
