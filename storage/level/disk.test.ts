import { expect, test } from 'vitest'
import { StorageError } from '../errors.ts'
import { asDiskFull, asWriteError } from './disk.ts'

const failure = (message: string, more: { code?: string; cause?: unknown } = {}): Error =>
  Object.assign(new Error(message), more)

const LEVEL_FULL = failure('Database failed to open', {
  code: 'LEVEL_DATABASE_NOT_OPEN',
  cause: failure('IO error: /data/000007.log: No space left on device', { code: 'LEVEL_IO_ERROR' }),
})

test.each([
  ['what caused it', LEVEL_FULL],
  ['its code', failure('write', { code: 'ENOSPC' })],
  ['the code of what caused it', failure('write', { cause: failure('inner', { code: 'EDQUOT' }) })],
])('a full disk is told by %s, with the place and what to do', (_, cause) => {
  const error = asWriteError(cause, 'cannot write to /data')
  expect(error).toMatchObject({ code: 'STORE_DISK_FULL', retryable: true, cause })
  expect(error.message).toMatch(
    /^cannot write to \/data: the disk is full \(.*\): free at least 4 MiB/,
  )
})

test('any other failure names all its causes', () => {
  const cause = failure('Database failed to open', { cause: failure('EIO: i/o error') })
  expect(asWriteError(cause, 'cannot write to /data')).toMatchObject({
    code: 'STORE_WRITE_FAILED',
    message: 'cannot write to /data: Database failed to open: EIO: i/o error',
  })
  expect(asDiskFull(cause, 'cannot open /data')).toBe(cause)
})

test('an error that has its code keeps it', () => {
  const closed = new StorageError('STORE_CLOSED', 'the store is closed')
  expect(asWriteError(closed, 'cannot write')).toBe(closed)
})
