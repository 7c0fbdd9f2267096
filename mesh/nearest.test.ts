import { expect, test } from 'vitest'
import { editDistance, nearestName } from './nearest.ts'

test('the nearest name is offered only when it is near', () => {
  expect(nearestName('vehicle.moton', ['city.air', 'vehicle.motion'])).toBe('vehicle.motion')
  expect(nearestName('weather', ['city.air', 'vehicle.motion'])).toBeUndefined()
  expect(nearestName('xy', ['ab'])).toBeUndefined()
})

test('a swap of neighbours is one edit', () => {
  expect(editDistance('kitten', 'sitting')).toBe(3)
  expect(editDistance('stroage', 'storage')).toBe(1)
})
