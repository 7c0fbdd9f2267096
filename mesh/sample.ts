// What a publisher hands in and a query hands out.

/** One field's value. Integers are exact to 2^53; floats keep their bits, NaN and -0 included. */
export type Value = number | string | boolean

/** The fields of a reading; an absent key is a missing value. */
export type Fields = Readonly<Record<string, Value>>

/** One reading. */
export interface Sample {
  /** Event time, microseconds since the Unix epoch, a non-negative safe integer. */
  readonly timeUs: number
  readonly fields: Fields
}
