// How large Kafka's Java producer expects a batch to be once it is compressed, by which it decides how much
// goes into one: its class CompressionRatioEstimator, and the margin of MemoryRecordsBuilder.
const MARGIN = 1.05
const BETTER_STEP = 0.005
const WORSE_STEP = 0.05

export class Shrinking {
  private readonly compress: boolean
  private ratio = 1

  constructor(compress: boolean) {
    this.compress = compress
  }

  expected(bytes: number): number {
    return this.compress ? bytes * this.ratio * MARGIN : bytes
  }

  learn(bytes: number, compressedBytes: number): void {
    const ratio = compressedBytes / bytes
    this.ratio =
      ratio > this.ratio
        ? Math.max(this.ratio + WORSE_STEP, ratio)
        : Math.max(this.ratio - BETTER_STEP, ratio)
  }
}
