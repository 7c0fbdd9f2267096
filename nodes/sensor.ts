// A sensor whose readings come from outside, one by one: rows from a file or a pipe, or whatever a
// program hands over. Refused rows are counted and reported; the rest goes through.
import { MeshError, type Publisher, type Sample } from '../mesh/index.ts'

export interface Reading {
  readonly source: string
  readonly sample: Sample
}

export class SensorNode {
  published = 0
  private readonly publisher: Publisher
  private readonly stream: string

  constructor(publisher: Publisher, stream: string) {
    this.publisher = publisher
    this.stream = stream
  }

  /**
   * Publishes one reading, waiting while the outbox is full. Returns why it was not taken, when it
   * breaks the stream's schema or cannot stand in a frame.
   * @throws MeshError MESH_OUTBOX_WRITE_FAILED, MESH_PUBLISHER_CLOSED.
   */
  async publish({ source, sample }: Reading): Promise<string | undefined> {
    try {
      while (!this.publisher.publish(this.stream, source, sample)) await this.publisher.room()
    } catch (error) {
      const refused = error instanceof MeshError ? error.code === 'MESH_SAMPLE_INVALID' : undefined
      if (refused === true || error instanceof RangeError) return (error as Error).message
      throw error
    }
    this.published += 1
    return undefined
  }
}
