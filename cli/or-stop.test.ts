import { expect, test, vi } from 'vitest'
import { orStop } from './or-stop.ts'

const never = new Promise<never>(() => undefined)

test('gives what it waits for, or stop, and throws what that throws', async () => {
  const { promise: stopping, resolve: stop } = Promise.withResolvers<string>()
  const waiting = orStop(stopping)
  expect(await waiting(Promise.resolve(7))).toBe(7)
  await expect(waiting(Promise.reject(new Error('broken')))).rejects.toThrow('broken')
  const last = waiting(never)
  stop('SIGTERM')
  expect(await last).toBe('stop')
  expect(await waiting(never)).toBe('stop')
})

test('a failure after the stop is nobody’s', async () => {
  const { promise, reject } = Promise.withResolvers<never>()
  expect(await orStop(Promise.resolve())(promise)).toBe('stop')
  reject(new Error('too late'))
})

test('however often it waits, the signal’s promise holds one reaction', async () => {
  const then = vi.spyOn(never, 'then')
  const waiting = orStop(never)
  for (let row = 0; row < 100; row++) await waiting(Promise.resolve(row))
  expect(then).toHaveBeenCalledTimes(1)
})
