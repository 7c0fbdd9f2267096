// What tests do to the files of a store.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'

/** What a kill -9 leaves: the files as they are now. */
export function snapshot(directory: string): string {
  const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'skein-level-'))
  fs.cpSync(directory, copy, { recursive: true })
  return copy
}

export function flip(file: string, at: number): void {
  const bytes = fs.readFileSync(file)
  bytes[at] = bytes[at]! ^ 0x10
  fs.writeFileSync(file, bytes)
}

export function filesOf(directory: string, suffix: string): string[] {
  const names = fs.readdirSync(directory, { recursive: true, encoding: 'utf8' })
  return names.filter((name) => name.endsWith(suffix)).map((name) => path.join(directory, name))
}
