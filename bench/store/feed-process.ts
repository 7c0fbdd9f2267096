// Feeds frames to a store or a broker as fast as acks come, or at a rate: a process of its own, that says
// how far it is when it is asked.
import { enableCompileCache } from 'node:module'
import { nowUs } from '../measure/clock.ts'
import { openBrokerOutlet } from './broker-outlet.ts'
import type { FeedAssignment, FeedProgress, FromFeed, ToFeed } from './feed-messages.ts'
import { Frames } from './frames.ts'
import type { Outlet } from './outlet.ts'
import { openSkeinOutlet } from './skein-outlet.ts'

enableCompileCache()

/** How often a feed with a rate looks what is due. */
const PACE_MS = 2

class Feed {
  private readonly assignment: FeedAssignment
  private readonly outlet: Outlet
  private startMs = Infinity
  private timer: NodeJS.Timeout | undefined

  static async open(assignment: FeedAssignment): Promise<Feed> {
    const frames = new Frames(assignment.set)
    const isSkein = assignment.channel.setting.system === 'skein'
    const open = isSkein ? openSkeinOutlet : openBrokerOutlet
    let feed: Feed | undefined
    const outlet = await open(assignment, frames, () => feed?.pump())
    feed = new Feed(assignment, outlet)
    return feed
  }

  private constructor(assignment: FeedAssignment, outlet: Outlet) {
    this.assignment = assignment
    this.outlet = outlet
  }

  go(): void {
    this.startMs = performance.now()
    if (this.assignment.framesPerSecond !== undefined) {
      this.timer = setInterval(() => this.pump(), PACE_MS)
    }
    this.pump()
  }

  progress(): FeedProgress {
    const { pipes, copies } = this.outlet
    const { endFrame = Infinity } = this.assignment
    const sum = (of: 'ackedFrames' | 'ackedBytes'): number =>
      pipes.reduce((total, pipe) => total + pipe[of], 0)
    return {
      atUs: nowUs(),
      ackedFrames: sum('ackedFrames') / copies,
      ackedBytes: sum('ackedBytes') / copies,
      isDone: pipes.every((pipe) => pipe.isDone(endFrame)),
    }
  }

  async close(): Promise<void> {
    clearInterval(this.timer)
    this.startMs = Infinity
    await this.outlet.close()
  }

  private pump(): void {
    const { framesPerSecond, firstFrame, endFrame = Infinity } = this.assignment
    const seconds = (performance.now() - this.startMs) / 1000
    if (seconds < 0) return
    const due = framesPerSecond === undefined ? Infinity : Math.floor(seconds * framesPerSecond)
    this.outlet.pump(Math.min(firstFrame + due, endFrame))
  }
}

let feed: Feed | undefined

async function handle(message: ToFeed): Promise<void> {
  switch (message.type) {
    case 'open':
      feed = await Feed.open(message.assignment)
      tell({ type: 'ready' })
      break
    case 'go':
      feed!.go()
      break
    case 'ask':
      tell({ type: 'progress', progress: feed!.progress() })
      break
    case 'close':
      await feed?.close()
      process.exit(0)
  }
}

function tell(message: FromFeed): void {
  if (process.connected) process.send!(message)
}

function fail(error: Error): void {
  tell({ type: 'failed', message: error.stack ?? error.message })
  process.disconnect()
}

process.on('message', (message) => void handle(message as ToFeed).catch(fail))
process.on('uncaughtException', fail)
// Ctrl-C is for the bench, which ends what it started.
process.on('SIGINT', () => undefined)
process.on('disconnect', () => process.exit(0))
