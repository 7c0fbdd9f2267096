// What the bench sets in Skein, by the keys of skein.yaml; everything else is as it ships.
import type { Form } from '../load.ts'
import type { Setting, Tuning } from './system.ts'

/** default is how it ships: what is quiet goes at once, and gathers for 5 ms at most when it is busy. */
const TUNED: Readonly<Record<Tuning, Readonly<Record<string, string>>>> = {
  default: {},
  latency: { 'publisher.linger': '0ms' },
  throughput: { 'publisher.linger': '5ms', 'publisher.frameBytes': '64KiB' },
}

const CODECS: Readonly<Record<Form, string>> = {
  native: 'columnar',
  frame: 'columnar',
  json: 'json',
  protobuf: 'protobuf',
}

/** Of a publisher. */
export function publisherSettings(
  { tier, tuning, compress, copies }: Setting,
  form: Form,
): Record<string, string | number | boolean> {
  return {
    'mesh.replicas': copies,
    'mesh.writeQuorum': copies,
    ...TUNED[tuning],
    'publisher.codec': CODECS[form],
    'publisher.compress': compress,
    ...(tier !== 'synced' && { 'publisher.level': tier }),
  }
}

/** As the flag --set takes them. */
export function skeinSettings(settings: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(settings).map(([key, value]) => `${key}=${String(value)}`)
}
