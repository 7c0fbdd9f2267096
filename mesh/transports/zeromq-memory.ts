// Messages, sent or received, are memory outside V8's heap, held by small objects in it. V8 sees that
// memory grow and answers with collections of the whole heap, ten a second at the speed of a disk, although
// what holds it is young and dead. Collecting the young objects in time costs a tenth of that.
import v8 from 'node:v8'
import vm from 'node:vm'

/** So many bytes of messages at most wait to be given back: half of what has V8 collect the whole heap. */
const BYTES_MAX = 16 << 20

type Collect = (options: { readonly type: 'minor' }) => void

let collect: Collect | undefined
let bytesSince = 0

/** Counts a message; call it when the one before is held no more. */
export function countMessage(bytes: number): void {
  bytesSince += bytes
  if (bytesSince < BYTES_MAX) return
  bytesSince = 0
  collect ??= youngCollector()
  collect({ type: 'minor' })
}

/** V8's own function, which it shows to those who ask for it. */
function youngCollector(): Collect {
  v8.setFlagsFromString('--expose-gc')
  return vm.runInNewContext('gc') as Collect
}
