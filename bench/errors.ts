// What can go wrong with the bench itself, before or between its runs. A run that went wrong is no error:
// it is in the result, void, with the reason. Codes are for programs; the messages say what, where and
// what to do.

export const BENCH_ERROR_CODES = [
  /** Not a file that the bench wrote, one of another version, or of another scenario. */
  'BENCH_RESULT_INVALID',
  /** Two results whose figures say nothing about each other; names what differs. */
  'BENCH_MACHINES_DIFFER',
  /** A recorded file, or its mapping, that cannot be read, or has nothing in it. */
  'BENCH_RECORDING_INVALID',
  /** A system or one of its clients ended, or did not answer in time. */
  'BENCH_SYSTEM_FAILED',
  /** By Ctrl-C or SIGTERM: what was measured before is kept. */
  'BENCH_INTERRUPTED',
] as const

export type BenchErrorCode = (typeof BENCH_ERROR_CODES)[number]

export class BenchError extends Error {
  override readonly name = 'BenchError'
  readonly code: BenchErrorCode

  constructor(code: BenchErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
