// `npm run bench -- <scenario> [--json]`. Each scenario has its file; figures are ratios of things
// measured in the same run wherever that can be.
const SCENARIOS = {
  smoke: () => import('./smoke.ts'),
} as const

const [name, ...flags] = process.argv.slice(2)
const scenario = SCENARIOS[name as keyof typeof SCENARIOS]
if (scenario === undefined) {
  process.stderr.write(
    `usage: npm run bench -- <scenario> [--json]; scenarios: ${Object.keys(SCENARIOS).join(', ')}\n`,
  )
  process.exitCode = 2
} else {
  const { run } = await scenario()
  await run({ json: flags.includes('--json') })
}
