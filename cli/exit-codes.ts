// What a verb's exit code means; documented in docs/errors.md and in `skein --help`.

export const EXIT = {
  /** Done; also when the reader of its output had enough (`skein query … | head -1`). */
  ok: 0,
  /** It ran and failed: the message says at what. */
  failed: 1,
  /** The command line, the configuration or an input file is wrong: nothing was begun. */
  usage: 2,
  /** Ended with samples that W stores have not acknowledged; of a node, that no disk outbox keeps either. */
  undelivered: 3,
  /** Broken off: by a second signal, or a query by the first one. */
  interrupted: 130,
} as const
