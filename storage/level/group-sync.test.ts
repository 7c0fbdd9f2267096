import { expect, test } from 'vitest'
import { GroupSync } from './group-sync.ts'

test('GroupSync - what comes during a sync shares the next one; each settles with its own', async () => {
  const calls: { items: readonly number[]; sync: PromiseWithResolvers<void> }[] = []
  const group = new GroupSync<number>((items) => {
    const sync = Promise.withResolvers<void>()
    calls.push({ items, sync })
    return sync.promise
  })
  const settled: string[] = []
  const add = (item: number): void => {
    group.add(item).then(
      () => settled.push(`${item}`),
      (error: Error) => settled.push(`${item} ${error.message}`),
    )
  }
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  add(1)
  add(2)
  add(3)
  expect(calls.map(({ items }) => items)).toEqual([[1]])
  calls[0]!.sync.resolve()
  await turn()
  expect(settled).toEqual(['1'])
  expect(calls[1]!.items).toEqual([2, 3])
  add(4)
  calls[1]!.sync.reject(new Error('EIO'))
  await turn()
  expect(settled).toEqual(['1', '2 EIO', '3 EIO'])
  let isIdle = false
  const idle = group.idle().then(() => (isIdle = true))
  await turn()
  expect(isIdle).toBe(false)
  calls[2]!.sync.resolve()
  await idle
  expect(settled.at(-1)).toBe('4')
  add(5)
  expect(calls[3]!.items).toEqual([5])
})
