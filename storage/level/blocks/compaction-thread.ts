// Runs a compaction in a thread of its own, at the lowest priority: encoding takes CPU that frames to
// be acknowledged need first.
import fs from 'node:fs'
import os from 'node:os'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { compactSegments, type CompactionRequest, type CompactionResult } from './compaction.ts'

/** Resolves when the file is written and synced. @throws whatever went wrong; the file is removed. */
export async function compactInThread(
  request: CompactionRequest,
  signal: AbortSignal,
): Promise<CompactionResult> {
  signal.throwIfAborted()
  const worker = new Worker(new URL(import.meta.url), { workerData: request })
  const stop = (): void => void worker.terminate()
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await new Promise<CompactionResult>((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
      worker.once('exit', () => reject(new Error('the compaction was stopped')))
    })
  } catch (error) {
    fs.rmSync(request.file, { force: true })
    throw error
  } finally {
    signal.removeEventListener('abort', stop)
    await worker.terminate()
  }
}

/** Linux gives each thread a priority of its own, by the thread's id. Elsewhere it stays as it is. */
function lowerPriority(): void {
  try {
    const thread = Number(fs.readlinkSync('/proc/thread-self').split('/').at(-1))
    os.setPriority(thread, os.constants.priority.PRIORITY_LOW)
  } catch {
    // Then it takes its share.
  }
}

if (!isMainThread && parentPort !== null) {
  lowerPriority()
  parentPort.postMessage(compactSegments(workerData as CompactionRequest))
}
