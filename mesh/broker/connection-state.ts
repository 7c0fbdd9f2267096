// Whether a broker takes what is published, and if not, why: in words for people, as events for the
// publisher, which sends again what was on its way when a connection goes.

export class ConnectionState {
  private connected = false
  private why: string | undefined
  private readonly listeners = new Set<(isConnected: boolean) => void>()
  private readonly onTrouble: ((reason: string | undefined) => void) | undefined

  /** `onTrouble` hears each new reason, and undefined when the trouble is over. */
  constructor(onTrouble: ((reason: string | undefined) => void) | undefined) {
    this.onTrouble = onTrouble
  }

  get isConnected(): boolean {
    return this.connected
  }

  get trouble(): string | undefined {
    return this.why
  }

  /** Returns how to end it. */
  onChange(listener: (isConnected: boolean) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  up(): void {
    this.explain(undefined)
    this.change(true)
  }

  /** What was published and is not confirmed counts as lost from now on. */
  down(reason: string): void {
    this.explain(reason)
    this.change(false)
  }

  private explain(reason: string | undefined): void {
    if (reason === this.why) return
    this.why = reason
    this.onTrouble?.(reason)
  }

  private change(isConnected: boolean): void {
    if (isConnected === this.connected) return
    this.connected = isConnected
    for (const listener of this.listeners) listener(isConnected)
  }
}
