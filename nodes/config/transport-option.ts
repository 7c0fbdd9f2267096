// `transport: { name: zeromq, bind: … }` is the long way to write `transport: zeromq` and
// `zeromq: { bind: … }`. The short form keeps every transport's options while one word switches
// between them, so the long form is turned into it before anything else looks.
import type { Problem } from './problems.ts'
import { isTree, keyOf, type Written } from './written.ts'

export function unfoldTransport(written: Written): Problem[] {
  const long = written.at(['transport'])
  if (!isTree(long)) return []
  const { name, ...options } = long
  const origin = written.nearestOrigin(['transport'])
  if (typeof name !== 'string') {
    written.delete(['transport'])
    return [{ origin, message: 'transport.name is missing: zeromq, memory, …' }]
  }
  const places = Object.keys(options).map((key) => written.originOf(['transport', key]))
  written.set(['transport'], name, written.originOf(['transport', 'name']))
  const problems: Problem[] = []
  for (const [index, [key, value]] of Object.entries(options).entries()) {
    const path = [name, key]
    const place = places[index] ?? origin
    if (written.at(path) === undefined) written.set(path, value, place)
    else
      problems.push({
        origin: place,
        message: `transport.${key} is also written as ${keyOf(path)}`,
      })
  }
  return problems
}
