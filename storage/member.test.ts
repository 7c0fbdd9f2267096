import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Announcement, MemberWitness, MembershipView, StoreId } from '../mesh/index.ts'
import { DurableJson } from './durable-json.ts'
import { StoreMember, type MemberDocument } from './member.ts'

const OWN = 'a000000000000000' as StoreId
const OTHER = 'b000000000000000' as StoreId

let directory = ''
let witnesses: MemberWitness[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'skein-member-'))
  witnesses = []
})

afterEach(() => rmSync(directory, { recursive: true }))

async function opened(): Promise<StoreMember> {
  const member = new StoreMember({
    storeId: OWN,
    writeQuorum: 2,
    document: new DurableJson<MemberDocument>(join(directory, 'members.json')),
    membership: () => ({ witnesses: () => witnesses }) as unknown as MembershipView,
    onChange: () => undefined,
  })
  await member.load()
  return member
}

/** Another store is heard, which has joined or waits as well. */
async function hears(member: StoreMember, joined: boolean): Promise<void> {
  const table = new Map(joined ? [[OTHER, 'member' as const]] : [])
  witnesses = [{ storeId: OTHER, joined, table }]
  member.hear({ self: { storeId: OTHER }, members: table } as unknown as Announcement)
  await member.settled()
}

test('found - stores that wait as well do not keep it from founding', async () => {
  const member = await opened()
  await hears(member, false)
  await member.found()
  expect(member.joined).toBe(true)
  expect([...member.members.keys()].sort()).toEqual([OWN, OTHER])
})

test('found - a founder that was stopped before it founded does so at its next start', async () => {
  await hears(await opened(), false)
  witnesses = []
  const member = await opened()
  expect(member.isOfMesh).toBe(false)
  await member.found()
  expect(member.joined).toBe(true)
})

test('found - where a member is heard there is a mesh: it waits to be confirmed, now and later', async () => {
  const member = await opened()
  await hears(member, true)
  await member.found()
  expect(member.joined).toBe(false)
  witnesses = []
  const later = await opened()
  expect(later.isOfMesh).toBe(true)
  await later.found()
  expect(later.joined).toBe(false)
})
