// Where a publisher with a disk outbox can die: at the n-th time it comes to a step between the write
// of a sample and the last ack. The process kills itself with SIGKILL, so nothing is flushed, closed
// or said.
import { ackTopic, type OutboxLog, type Transport } from '../../mesh/index.ts'

/**
 * `write` appends a sample to the log, `seal` a frame, `send` hands a frame to the transport for one
 * store, `ack` is a batch of acknowledgements that came, `done` notes a frame as stored in the log.
 */
export const CRASH_KINDS = [
  'before-write',
  'after-write',
  'before-seal',
  'after-seal',
  'before-send',
  'after-send',
  'before-ack',
  'after-ack',
  'before-done',
  'after-done',
] as const

export interface CrashPoint {
  readonly kind: string
  /** From 1. */
  readonly at: number
}

/** Wraps the methods of the log and the transport that the publisher comes by. */
export function armCrash(crash: CrashPoint, log: OutboxLog, transport: Transport): void {
  let passed = 0
  const pass = (step: string): void => {
    if (step !== crash.kind) return
    passed += 1
    if (passed === crash.at) process.kill(process.pid, 'SIGKILL')
  }
  const around = <Arguments extends unknown[], Result>(
    what: string,
    call: (...args: Arguments) => Result,
  ): ((...args: Arguments) => Result) => {
    return (...args) => {
      pass(`before-${what}`)
      const result = call(...args)
      pass(`after-${what}`)
      return result
    }
  }
  log.appendSample = around('write', log.appendSample.bind(log))
  log.appendSamples = around('write', log.appendSamples.bind(log))
  log.appendSeal = around('seal', log.appendSeal.bind(log))
  log.done = around('done', log.done.bind(log))

  const publish = transport.publish.bind(transport)
  const send = around('send', publish)
  transport.publish = (topic, bytes, to) =>
    to !== undefined && topic.startsWith('f/') ? send(topic, bytes, to) : publish(topic, bytes, to)
  const subscribe = transport.subscribe.bind(transport)
  transport.subscribe = (pattern, onBatch, scope) =>
    subscribe(
      pattern,
      pattern === ackTopic(transport.peerId) ? around('ack', onBatch) : onBatch,
      scope,
    )
}
