// `skein config show`: every setting, its value, and who said so.
import type { Command } from 'commander'
import { explainConfig } from '../../nodes/index.ts'
import { contextOf, wantsJson } from '../context.ts'
import { paintFor } from '../format/paint.ts'
import { table } from '../format/table.ts'
import { printJson, printLine } from '../output.ts'

const AFTER_HELP = `
Defaults, then skein.yaml, then SKEIN_… variables, then flags: the later wins.
The shipped skein.yaml lists every key.`

export function addConfig(program: Command): void {
  program
    .command('config')
    .description('the configuration')
    .addHelpText('after', AFTER_HELP)
    .command('show')
    .description('every setting with its value and where that comes from')
    .action((_flags, command: Command) => {
      const loaded = contextOf(command)
      const explained = explainConfig(loaded)
      if (wantsJson(command)) {
        printJson({ file: loaded.file ?? null, settings: explained })
        return
      }
      const rows = explained.map(({ key, value, from }) => ({
        key,
        value: typeof value === 'string' ? value : JSON.stringify(value),
        from,
      }))
      const { stdout } = process
      const options = {
        paint: paintFor(stdout, process.env),
        ...(stdout.isTTY && { columns: stdout.columns }),
      }
      for (const line of table(rows, ['key', 'from', 'value'], options)) printLine(line)
    })
}
