// What one invocation of the bench leaves: results/<date>-<scenario>.json, from which the table and the
// HTML report are drawn.
import type { Load } from './load.ts'
import type { Report } from './report/report.ts'
import type { BenchSystemName, Setting } from './systems/system.ts'

export interface Result {
  readonly version: 1
  readonly scenario: string
  /** To run it again. */
  readonly command: string
  readonly startedAt: string
  readonly finishedAt: string
  /** False when it was interrupted: what is here was measured, what is missing was not. */
  readonly isComplete: boolean
  /** What could not be run, and why. */
  readonly notes: readonly string[]
  readonly machine: Machine
  /** By program. */
  readonly versions: Readonly<Record<string, string>>
  /** As given to each system, by deployment. */
  readonly configurations: Readonly<Record<string, unknown>>
  readonly seed: number
  readonly runs: readonly Run[]
  /** Vendors' own tools, where the scenario ran them. */
  readonly natives: readonly NativeRun[]
  readonly report: Report
}

/** A vendor's tool and our client with the same messages, settings and server. */
export interface NativeRun {
  readonly system: BenchSystemName
  /** As it was called, addresses left out. */
  readonly tool: string
  readonly payload: string
  readonly messagesPerSecond: number
  /** The median of our client's runs in the same result. */
  readonly oursPerSecond: number
}

export interface Machine {
  readonly host: string
  readonly cpus: number
  readonly cpuModel: string
  readonly memoryBytes: number
  readonly kernel: string
  readonly node: string
  readonly filesystem: string
  /** One append of 4 KiB with its fdatasync on the idle disk, µs, p50. */
  readonly fdatasyncUs: number
  /** Largest difference seen between the clocks of two processes, µs. */
  readonly clockOffsetUs: number
}

/** One measurement: one setting under one load, once. */
export interface Run {
  /** Names setting and load; runs of a cell are repetitions. */
  readonly cell: string
  readonly block: number
  readonly setting: Setting
  readonly load: Load
  /** Why it counts for nothing; empty when it counts. */
  readonly voids: readonly string[]
  /** Offered faster than taken: the backlog grew. */
  readonly isSustained: boolean
  readonly counts: Counts
  /** Of the measured window, warm-up left out; samples/s. */
  readonly publishedPerSecond: number
  readonly receiptsPerSecond: number
  readonly deliveredPerSecond: number
  /** From the planned time, µs. */
  readonly live?: Distribution
  readonly receipt?: Distribution
  /** How late the generator handed a sample over, µs. */
  readonly lag?: Distribution
  readonly cost: Cost
  /** Scenario's own figures: times to recover, bytes a sample, … */
  readonly extra?: Readonly<Record<string, number>>
  /** By name, for scenarios in which something happens in the middle. */
  readonly steps?: Readonly<Record<string, Steps>>
}

/** Samples in each step of time. */
export interface Steps {
  /** Begin of the first step, seconds after what happens. */
  readonly fromSeconds: number
  readonly stepSeconds: number
  readonly counts: readonly number[]
}

export interface Counts {
  readonly published: number
  readonly receipts: number
  /** By all subscribers together. */
  readonly delivered: number
  readonly duplicates: number
  /** Published and never vouched for, or never delivered. */
  readonly lost: number
}

/** µs. */
export interface Distribution {
  readonly count: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly max: number
  /** HdrHistogram V2, compressed, base64, values in µs. */
  readonly hdr: string
}

/** Of the measured window. */
export interface Cost {
  readonly seconds: number
  /** User and system, by process name; threads included. */
  readonly cpuSeconds: Readonly<Record<string, number>>
  /** Proportional set size at the end, by process name. */
  readonly memoryBytes: Readonly<Record<string, number>>
  /** Handed to the block layer by the servers. */
  readonly writtenBytes: number
  /** fsync, fdatasync and their like by the servers, counted by the kernel; undefined when it would not tell. */
  readonly fsyncs?: number
  /** Bytes and messages that producers handed on. */
  readonly sentBytes: number
  readonly sentMessages: number
  /** Share of the machine that the hypervisor gave to others. */
  readonly stealShare: number
}
