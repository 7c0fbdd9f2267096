// The mappings that come with Skein, by name.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { SimError } from '../errors.ts'
import { suggestion } from './nearest.ts'

const FOLDER = join(import.meta.dirname, 'mappings')

/** The file of a mapping by its name, such as `capmetro-2015`. @throws SimError SIM_FILE_NOT_FOUND. */
export function mappingPath(name: string): string {
  const path = join(FOLDER, `${name}.yaml`)
  if (existsSync(path)) return path
  const known = readdirSync(FOLDER).map((file) => file.replace(/\.yaml$/, ''))
  throw new SimError(
    'SIM_FILE_NOT_FOUND',
    `there is no mapping file ${name}, and none of that name comes with Skein${suggestion(name, known)}: ` +
      `there are ${known.join(', ')}`,
    { details: { name, known } },
  )
}
