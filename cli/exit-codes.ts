// What a verb's exit code means; documented in docs/errors.md.

export const EXIT = {
  ok: 0,
  /** It ran and failed: the message says at what. */
  failed: 1,
  /** The command line, the configuration or an input file is wrong: nothing was begun. */
  usage: 2,
  /** Stopped with samples that no store has acknowledged and no disk outbox keeps. */
  undelivered: 3,
  /** Ended by a second signal, or because the reader of its output went away. */
  interrupted: 130,
} as const
