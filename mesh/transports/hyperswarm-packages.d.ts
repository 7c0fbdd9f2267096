// The parts of hyperswarm and hyperdht that we use; neither package brings types.
declare module 'hyperdht' {
  import type { EventEmitter } from 'node:events'

  export interface KeyPair {
    readonly publicKey: Buffer
    readonly secretKey: Buffer
  }

  export interface Address {
    readonly host: string
    readonly port: number
  }

  /** The UDP stream below an encrypted one. */
  export interface RawStream {
    readonly remoteHost: string | null
    readonly remotePort: number
    destroy(): void
  }

  /** A duplex stream of streamx: like those of Node.js, but not one of them. */
  export interface SecretStream extends EventEmitter {
    readonly isInitiator: boolean
    readonly publicKey: Buffer
    readonly remotePublicKey: Buffer
    readonly handshakeHash: Buffer | null
    readonly rawStream: RawStream | null
    readonly destroying: boolean
    /** Resolves with false when the stream closed before it was open. */
    readonly opened: Promise<boolean>
    write(data: Uint8Array): boolean
    end(): void
    pause(): void
    resume(): void
    destroy(error?: Error): void
    setTimeout(ms: number): void
  }

  export interface DhtServer extends EventEmitter {
    /** Announces the key pair anew, soon. */
    refresh(): void
    close(): Promise<void>
  }

  export interface DhtOptions {
    readonly bootstrap?: readonly string[]
    readonly host?: string
    readonly port?: number
    readonly anyPort?: boolean
    readonly ephemeral?: boolean
    readonly firewalled?: boolean
    /** How long, in milliseconds, what others announce is kept. */
    readonly maxAge?: number
  }

  export default class DHT extends EventEmitter {
    constructor(options?: DhtOptions)
    static bootstrapper(port: number, host: string, options?: DhtOptions): DHT
    static keyPair(seed?: Uint8Array): KeyPair
    static readonly BOOTSTRAP: readonly string[]
    readonly destroyed: boolean
    bind(): Promise<void>
    fullyBootstrapped(): Promise<void>
    ping(address: Address): Promise<unknown>
    connect(publicKey: Uint8Array, options: { readonly keyPair: KeyPair }): SecretStream
    destroy(options?: { readonly force?: boolean }): Promise<void>
  }
}

declare module 'hyperswarm' {
  import type { EventEmitter } from 'node:events'
  import type DHT from 'hyperdht'
  import type { DhtServer, KeyPair } from 'hyperdht'

  export interface Discovery {
    /** Looks up, and announces where the session is a server, once more. */
    refresh(): Promise<boolean>
    flushed(): Promise<boolean>
  }

  export interface SwarmOptions {
    readonly dht: DHT
    readonly keyPair: KeyPair
    readonly maxPeers?: number
    readonly maxParallel?: number
    readonly backoffs?: readonly number[]
    readonly jitter?: number
  }

  export default class Hyperswarm extends EventEmitter {
    constructor(options: SwarmOptions)
    readonly server: DhtServer
    join(topic: Uint8Array, how: { readonly server: boolean; readonly client: boolean }): Discovery
    listen(): Promise<void>
    /** Leaves all topics. */
    clear(): Promise<unknown>
    destroy(options?: { readonly force?: boolean }): Promise<void>
  }
}
