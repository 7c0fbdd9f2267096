// The shape of storage.retention: how long and how much a storage peer keeps, by classes of streams.
import { z } from 'zod'
import { DEFAULT_CLASS } from '../../storage/index.ts'
import { parsed, written } from './unit-settings.ts'
import { parseBytes, parseDurationUs } from './units.ts'

const STREAMS_FAULT =
  'is neither a stream nor the beginning of one with a * at its end, such as vehicle.*'
/** What is written where there is no limit. */
const NO_LIMIT = 'none'
const ageLimit = limit(parseDurationUs, 'a duration such as 7d')
const sizeLimit = limit(parseBytes, 'a size such as 100GiB')

const retentionClass = z.strictObject({
  streams: z.array(z.string().regex(/^[A-Za-z0-9._-]+\*?$|^\*$/, STREAMS_FAULT)).min(1),
  age: ageLimit.prefault(NO_LIMIT),
  size: sizeLimit.prefault(NO_LIMIT),
})

export const retention = z.strictObject({
  age: ageLimit.prefault(NO_LIMIT),
  size: sizeLimit.prefault(NO_LIMIT),
  classes: z.record(z.string().superRefine(checkClassName), retentionClass).prefault({}),
})

/** A number with a unit, or `none` for Infinity. */
function limit(
  parse: (text: string | number) => number,
  expected: string,
): z.ZodType<number, string | number> {
  return written.transform((text, context) => {
    if (text === NO_LIMIT) return Infinity
    const value = parsed(parse, text, context)
    if (value > 0) return value
    context.addIssue({
      code: 'custom',
      message: `is ${text}; expected ${expected}, or ${NO_LIMIT}`,
    })
    return z.NEVER
  })
}

/** A class is a directory beside that of `default` and the lock of them all. */
function checkClassName(name: string, context: z.RefinementCtx): void {
  const isTaken = name === DEFAULT_CLASS || name === 'lock'
  if (!isTaken && /^[a-z][a-z0-9-]{0,31}$/.test(name)) return
  const message = isTaken
    ? `is taken: choose another name than ${name}`
    : 'is no name for a class; expected lower-case letters, digits and dashes'
  context.addIssue({ code: 'custom', message })
}
