// Waiting that somebody else can end.

/** Settles as `done` does, or rejects with the signal's reason when that comes first. */
export async function orAborted(
  done: Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (signal === undefined) return done
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => aborted.reject(signal.reason as Error)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([done, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
