// For tests that talk to a real system. Without it they are skipped, and say what would install it; where
// SKEIN_REQUIRE_SYSTEMS=1 promises that it is there, as in CI, they fail instead.
import { describe, test } from 'vitest'
import { installCommand, isInstalled } from './install.ts'
import type { SystemName } from './system.ts'

/** A `describe` that needs the system; `body` starts it by `startSystem`. */
export function systemSuite(name: SystemName, body: () => void, title = `on a real ${name}`): void {
  const reason = `${name} is not installed: ${installCommand(name)}`
  if (isInstalled(name)) {
    describe(title, () => {
      body()
    })
  } else if (process.env['SKEIN_REQUIRE_SYSTEMS'] === '1') {
    test(title, () => {
      throw new Error(`${reason} (SKEIN_REQUIRE_SYSTEMS=1 asks for it)`)
    })
  } else {
    console.log(`skipped: ${title}: ${reason}`)
    describe.skipIf(true)(`${title} [skipped: ${reason}]`, () => {
      body()
    })
  }
}
