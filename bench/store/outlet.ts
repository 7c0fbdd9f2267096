// Where a feed puts its frames: the stores of a mesh, or a broker.
import type { Pipe } from './pipe.ts'

export interface Outlet {
  readonly pipes: readonly Pipe[]
  /** Of each frame, in different pipes. */
  readonly copies: number
  /** Sends what may leave of the frames numbered before `until`. */
  pump(until: number): void
  close(): Promise<void>
}
