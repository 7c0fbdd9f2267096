// Changes one piece of one source file while it is loaded. A piece that is not there is an error: the bug
// would not be planted, and the test that needs it would prove nothing.
import { registerHooks } from 'node:module'

export function plant(file: string, piece: string, change: (found: string) => string): void {
  registerHooks({
    load(url, context, next) {
      const loaded = next(url, context)
      if (!url.endsWith(`/${file}`)) return loaded
      const source = Buffer.from(loaded.source as string | Uint8Array).toString()
      if (!source.includes(piece))
        throw new Error(`nothing to plant the bug in: ${piece} in ${file}`)
      return { ...loaded, source: source.replace(piece, change) }
    },
  })
}
