// Colours where somebody sees them: on a terminal, unless NO_COLOR is set (https://no-color.org: to
// anything but the empty string). Programs that read our output never meet an escape sequence.
import { styleText } from 'node:util'

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'blue' | 'cyan'

export type Paint = (style: Style | readonly Style[], text: string) => string

export const plain: Paint = (_style, text) => text

export const coloured: Paint = (style, text) =>
  // Whether the stream takes colours was decided by paintFor, for the stream that is written to.
  styleText(typeof style === 'string' ? style : [...style], text, { validateStream: false })

export function paintFor(
  stream: { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): Paint {
  return stream.isTTY === true && !env['NO_COLOR'] ? coloured : plain
}
