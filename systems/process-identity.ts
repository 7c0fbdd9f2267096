// Whether a process is still the one that was started: its id alone may have been given to another since.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** A process that ended and that nobody has asked about yet counts as gone. */
export function isAlive(pid: number): boolean {
  return identityOf(pid) !== undefined
}

/** When the process started, in whatever words this system has for it; undefined when there is none. */
export function identityOf(pid: number): string | undefined {
  return process.platform === 'linux' ? fromProc(pid) : fromPs(pid)
}

/** After the name in brackets, which may hold anything: the state, and 19 fields on the start time in ticks. */
function fromProc(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    return `${boot} ${fields[19]}`
  } catch {
    return undefined
  }
}

function fromPs(pid: number): string | undefined {
  const { stdout } = spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' })
  return stdout.trim() || undefined
}
