// Of a package that is installed, for the result.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const PACKAGES = join(import.meta.dirname, '..', '..', 'node_modules')

export function packageVersion(name: string): string {
  const manifest = readFileSync(join(PACKAGES, name, 'package.json'), 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}
