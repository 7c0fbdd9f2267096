// A stream named on the command line, checked before anything is opened.
import { checkName } from '../mesh/index.ts'
import { UsageError } from './output.ts'

/** @throws UsageError. */
export function streamName(stream: string): string {
  try {
    checkName('stream', stream)
    return stream
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
