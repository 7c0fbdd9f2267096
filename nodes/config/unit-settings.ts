// Values of skein.yaml that are a number with a unit.
import { z } from 'zod'

export const written = z.union([z.string(), z.number()], { error: 'needs a number with a unit' })

export function withUnit(
  parse: (text: string | number) => number,
): z.ZodType<number, string | number> {
  return written.transform((text, context) => parsed(parse, text, context))
}

/** The number of a text with a unit; a text that is none becomes an issue of the key. */
export function parsed(
  parse: (text: string | number) => number,
  text: string | number,
  context: z.RefinementCtx,
): number {
  try {
    return parse(text)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    context.addIssue({ code: 'custom', message })
    return z.NEVER
  }
}
