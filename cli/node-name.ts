// The name of a node on the command line. It names directories under --data: with a separator in it,
// or as `..`, it would put them somewhere else.
import { UsageError } from './output.ts'

/** @throws UsageError. */
export function nodeName(name: string): string {
  if (/^[A-Za-z0-9._-]{1,255}$/.test(name) && name !== '.' && name !== '..') return name
  throw new UsageError(
    `--name ${JSON.stringify(name)}: a name holds letters, digits, . _ - only, and is not . or ..`,
  )
}
