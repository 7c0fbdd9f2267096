// Waiting for one thing after the other until a signal comes. Promise.race would leave something on the
// signal's promise at each wait, and a pipe of readings may go on for days.

/** What the promise gives, or 'stop' as soon as that is asked for. */
export type OrStop = <T>(promise: Promise<T>) => Promise<T | 'stop'>

/** For one wait at a time. */
export function orStop(stopping: Promise<unknown>): OrStop {
  let isStopped = false
  let endWait = (): void => undefined
  const stop = (): void => {
    isStopped = true
    endWait()
  }
  void stopping.then(stop)
  return (promise) =>
    new Promise((resolve, reject) => {
      endWait = () => resolve('stop')
      promise.then(resolve, reject)
      if (isStopped) endWait()
    })
}
