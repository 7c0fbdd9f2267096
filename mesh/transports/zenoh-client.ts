// @eclipse-zenoh/zenoh-ts behind a guard. The client is written for web pages: it makes its own
// WebSocket and polls it every 100 ms, does not say when the connection is lost, waits in the middle
// of a request while more than 2 MB are buffered (and then ends the process with a rejection that
// nobody can catch), prints to the console, and answers a refused connection with half an hour of
// retries that leak sockets.
//
// None of that happens here, because the client gets no real WebSocket but a stand-in (Socketlike):
// always open, never anything buffered. It is put in the place of the global WebSocket only while
// Session.open() runs synchronously, which is where the client makes its socket, so nobody else can
// see it. The real connection (zenoh-websocket.ts) is ours: we connect it, bound it, see it end.
import type * as Zenoh from '@eclipse-zenoh/zenoh-ts'
import type { BridgeSocket } from './zenoh-websocket.ts'

export type ZenohPackage = typeof Zenoh

/** How long the bridge may take to answer a request. */
const REQUEST_MS = 5000
/** How long others may take to answer a question about them. */
const QUERY_MS = 1000

/**
 * Loads the package. It imports WASM modules, of which Node.js warns on the terminal; that one
 * warning is kept off while it loads.
 */
export async function loadZenoh(): Promise<ZenohPackage> {
  const emitWarning = process.emitWarning.bind(process) as EmitWarning
  let isLoading = true
  const filtered: EmitWarning = (...said) => {
    const isThatOne = said[1] === 'ExperimentalWarning' && /WebAssembly/.test(String(said[0]))
    if (!isLoading || !isThatOne) emitWarning(...said)
  }
  const { emitWarning: before } = Object.getOwnPropertyDescriptors(process)
  process.emitWarning = filtered
  try {
    return await import('@eclipse-zenoh/zenoh-ts')
  } finally {
    isLoading = false
    if (process.emitWarning === filtered) Object.defineProperty(process, 'emitWarning', before)
  }
}

type EmitWarning = (...said: unknown[]) => void

/** A sample as it came: not yet checked for anything. */
export type SampleHandler = (key: string, isPut: boolean, payload: Buffer) => void

/** What the client touches of a WebSocket. */
interface Socketlike {
  readonly readyState: number
  readonly bufferedAmount: number
  binaryType: string
  onmessage: ((event: { data: ArrayBuffer }) => void) | null
  onerror: unknown
  onclose: unknown
  send(bytes: Uint8Array): void
}

const OPEN = 1

export class ZenohClient {
  private readonly zenoh: ZenohPackage
  private readonly session: Zenoh.Session
  private readonly putOptions: Zenoh.PutOptions
  /** What the message now being read was for: run after the client's code, not within it. */
  private readonly due: (() => void)[]

  private constructor(zenoh: ZenohPackage, session: Zenoh.Session, due: (() => void)[]) {
    this.zenoh = zenoh
    this.session = session
    this.due = due
    this.putOptions = {
      congestionControl: zenoh.CongestionControl.BLOCK,
      // Our packets are batches already.
      express: true,
    }
  }

  /**
   * Over a socket that is connected. `onHeard` is called for each message after the first, `onRejected`
   * for those that the client does not understand. @throws Error when the bridge does not answer as one.
   */
  static async open(
    zenoh: ZenohPackage,
    socket: BridgeSocket,
    onRejected: () => void,
    onHeard: () => void,
  ): Promise<ZenohClient> {
    const due: (() => void)[] = []
    const standIn: Socketlike = {
      readyState: OPEN,
      bufferedAmount: 0,
      binaryType: '',
      onmessage: null,
      onerror: null,
      onclose: null,
      send: (bytes) => socket.send(bytes),
    }
    const opening = openSession(zenoh, standIn)
    const greeted = (async () => {
      const session = await opening
      return new ZenohClient(zenoh, session, due)
    })()
    socket.onSkipped = onRejected
    socket.onMessage = (data) => {
      const hush = hushLog()
      // The client logs its success a few microtasks later.
      void greeted.then(hush, hush)
      socket.onMessage = (data) => {
        onHeard()
        if (!handOver(standIn, data)) onRejected()
        for (const run of due.splice(0)) run()
      }
      if (!handOver(standIn, data)) onRejected()
    }
    return greeted
  }

  /** Calls back for all that is put under the key, by whomever. */
  async subscribe(key: string, onSample: SampleHandler): Promise<void> {
    await this.session.declareSubscriber(key, { handler: this.handler(onSample) })
  }

  /** Calls back for the tokens under the key: those that are there, come and go. */
  async watch(key: string, onSample: SampleHandler): Promise<void> {
    const handler = this.handler(onSample)
    await this.session.liveliness().declareSubscriber(key, { handler, history: true })
  }

  /** A sign of life that others can watch; it goes away with the connection. */
  async declareToken(key: string): Promise<void> {
    await this.session.liveliness().declareToken(key)
  }

  /** Whether there is a token under the key. */
  async hasToken(key: string): Promise<boolean> {
    const found = Promise.withResolvers<boolean>()
    await this.session.liveliness().get(key, {
      handler: [() => found.resolve(true), () => found.resolve(false)],
      timeout: this.zenoh.Duration.milliseconds.of(QUERY_MS),
    })
    return found.promise
  }

  /** The version that the bridge says of itself, like v1.10.2; undefined when it does not. */
  async version(): Promise<string | undefined> {
    const info = await this.session.info()
    const said = Promise.withResolvers<string | undefined>()
    const onReply = (reply: Zenoh.Reply): void => {
      const result = reply.result()
      if (!('keyexpr' in result) || !result.keyexpr().toString().endsWith('/version')) return
      said.resolve(result.payload().toString().replaceAll('"', ''))
    }
    await this.session.get(`@/${info.zid().toString()}/remote-plugin/**`, {
      handler: [onReply, () => said.resolve(undefined)],
      timeout: this.zenoh.Duration.milliseconds.of(QUERY_MS),
    })
    return said.promise
  }

  /** Sends at once. The bytes are copied. */
  put(key: string, bytes: Uint8Array): void {
    // Fails for a malformed key only, and ours are not.
    this.session.put(key, bytes, this.putOptions).catch(() => {})
  }

  private handler(onSample: SampleHandler): (sample: Zenoh.Sample) => void {
    return (sample) => {
      const key = sample.keyexpr().toString()
      const isPut = sample.kind() === this.zenoh.SampleKind.PUT
      const { buffer, byteOffset, byteLength } = sample.payload().toBytes()
      this.due.push(() => onSample(key, isPut, Buffer.from(buffer, byteOffset, byteLength)))
    }
  }
}

/** Opens a session on the stand-in, in silence. */
function openSession(zenoh: ZenohPackage, standIn: Socketlike): Promise<Zenoh.Session> {
  const { WebSocket } = globalThis
  const { warn } = console
  function StandIn(): Socketlike {
    return standIn
  }
  globalThis.WebSocket = StandIn as unknown as typeof WebSocket
  console.warn = () => {}
  try {
    // The address is for the client's messages only.
    return zenoh.Session.open(new zenoh.Config('ws://bridge', REQUEST_MS))
  } finally {
    globalThis.WebSocket = WebSocket
    console.warn = warn
  }
}

/** Gives the client a message; false when it warned of not understanding it. */
function handOver(standIn: Socketlike, data: ArrayBuffer): boolean {
  const { warn } = console
  let isUnderstood = true
  console.warn = () => {
    isUnderstood = false
  }
  try {
    standIn.onmessage?.({ data })
  } finally {
    console.warn = warn
  }
  return isUnderstood
}

/** Keeps the client's one line about its success off the terminal, until called. */
function hushLog(): () => void {
  const { log } = console
  let isOver = false
  const hushed = (...said: unknown[]): void => {
    if (isOver || !String(said[0]).startsWith('Successfully opened session')) log(...said)
  }
  console.log = hushed
  return () => {
    isOver = true
    if (console.log === hushed) console.log = log
  }
}
