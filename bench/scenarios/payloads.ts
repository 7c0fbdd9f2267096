// What is sent, by names that reports use.
import type { Load } from '../load.ts'

/** What is sent. Frames are the same bytes for all systems; native is what each one's users send. */
export const PAYLOADS: Readonly<Record<string, Partial<Load>>> = {
  'a sample a message': { form: 'native', samplesPerFrame: 1 },
  '100 a frame or batch': { form: 'native', samplesPerFrame: 100, sources: 100 },
  'frames of 1': { form: 'frame', samplesPerFrame: 1 },
  'frames of 10': { form: 'frame', samplesPerFrame: 10 },
  'frames of 100': { form: 'frame', samplesPerFrame: 100, sources: 100 },
  'frames of 5 KB': { form: 'frame', samplesPerFrame: 1, readings: 'blocks' },
}

/** The name of what a load sends. */
export function payloadName({ form, samplesPerFrame, readings }: Load): string {
  if (readings === 'blocks') return 'frames of 5 KB'
  if (form !== 'native') return `frames of ${samplesPerFrame}`
  return samplesPerFrame === 1 ? 'a sample a message' : `${samplesPerFrame} a frame or batch`
}
