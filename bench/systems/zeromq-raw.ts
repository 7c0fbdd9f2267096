// Raw zeromq.js, as close to the socket as Node.js gets: the line that a peer-to-peer transport is measured
// against. A publisher sends each message to the ROUTER of every subscriber, over a DEALER for each;
// nothing is kept, acknowledged or sent again. Subscribers open first, and say in a folder where they
// listen, so that a publisher reaches all of them from its first message on.
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Dealer, Router } from 'zeromq'
import { messageDecoder, messageEncoder, messageSamples } from '../messages.ts'
import { packageVersion } from './package-version.ts'
import type { BenchClient, BenchSystem, Deployment } from './system.ts'

/** For what is still on its way when a socket closes. */
const LINGER_MS = 500
/** Nothing waits in a send: what the library does not take at once is lost. It keeps all that it takes. */
const SENDING = { linger: LINGER_MS, immediate: true, sendTimeout: 0, sendHighWaterMark: 0 }
const ENDPOINT = '.endpoint'

export const zeromqRaw: BenchSystem = {
  name: 'zeromq-raw',
  persists: false,
  tiers: [],
  missing: () => undefined,
  deploymentKey: () => 'zeromq-raw',
  start: async (_setting, directory) => deployment(directory),
}

function deployment(directory: string): Deployment {
  return {
    servers: () => [],
    versions: { 'zeromq.js': packageVersion('zeromq') },
    configuration: { sockets: 'a DEALER to the ROUTER of each subscriber', ...SENDING },
    channel: async (setting, name) => {
      const address = join(directory, name)
      await mkdir(address, { recursive: true })
      return { setting, name, address }
    },
    kill: () => Promise.resolve(),
    restart: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

export const client: BenchClient = {
  async openProducer({ channel, form, sources, onLost }) {
    const encode = messageEncoder(form, channel.name, sources)
    const dealers = await Promise.all((await endpointsIn(channel.address)).map(dial))
    let bytes = 0
    let messages = 0
    return {
      hasReceipts: false,
      publish(source, samples) {
        for (const part of messageSamples(form, samples)) {
          const message = encode(source, part)
          for (const dealer of dealers) {
            dealer.send(message).catch(() => onLost(part.length, 'the socket did not take it'))
            bytes += message.length
            messages += 1
          }
        }
      },
      sentBytes: () => bytes,
      sentMessages: () => messages,
      close: async () => {
        for (const dealer of dealers) dealer.close()
      },
    }
  },

  async openConsumer({ channel, form, process, onSamples }) {
    const decode = messageDecoder(form)
    const router = new Router({ linger: 0, receiveHighWaterMark: 0 })
    await router.bind('tcp://127.0.0.1:*')
    const receiving = (async () => {
      for await (const [, message] of router) onSamples(decode(message!))
    })()
    await announce(channel.address, process, router.lastEndpoint!)
    return {
      close: async () => {
        router.close()
        await receiving
      },
    }
  },
}

/** Resolves when the connection stands. */
async function dial(endpoint: string): Promise<Dealer> {
  const dealer = new Dealer(SENDING)
  const connected = Promise.withResolvers<void>()
  dealer.events.on('handshake', () => connected.resolve())
  dealer.connect(endpoint)
  await connected.promise
  return dealer
}

/** Whole as soon as it has its name. */
async function announce(folder: string, process: number, endpoint: string): Promise<void> {
  const file = join(folder, String(process))
  await writeFile(file, endpoint)
  await rename(file, `${file}${ENDPOINT}`)
}

async function endpointsIn(folder: string): Promise<string[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith(ENDPOINT))
  return Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')))
}
