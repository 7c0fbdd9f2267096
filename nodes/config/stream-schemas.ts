// publisher.streams.<stream>.schema: the path of a JSON Schema file, or the schema itself. Read and
// compiled here, so that a broken schema is a line in the list of problems and not a crash later.
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { compileSchema, type JsonSchema } from '../../mesh/index.ts'
import type { Problem } from './problems.ts'
import { isTree, keyOf, type Path, type Written } from './written.ts'

export interface StreamSchemas {
  readonly schemas: ReadonlyMap<string, JsonSchema>
  readonly problems: readonly Problem[]
}

/** `absolute` turns the file path written at a key into one that can be opened. */
export function readStreamSchemas(
  written: Written,
  absolute: (key: Path, given: string) => string,
): StreamSchemas {
  const schemas = new Map<string, JsonSchema>()
  const problems: Problem[] = []
  const streams = written.at(['publisher', 'streams'])
  for (const stream of isTree(streams) ? Object.keys(streams) : []) {
    const path = ['publisher', 'streams', stream, 'schema']
    const given = written.at(path)
    // Other types are for the check to report.
    if (typeof given !== 'string' && !isTree(given)) continue
    try {
      const json =
        typeof given === 'string' ? readSchema(absolute(path, given)) : (given as JsonSchema)
      schemas.set(stream, compileSchema(json).json)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      problems.push({ origin: written.nearestOrigin(path), message: `${keyOf(path)}: ${why}` })
    }
  }
  return { schemas, problems }
}

function readSchema(path: string): JsonSchema {
  return parse(readFileSync(path, 'utf8')) as JsonSchema
}
