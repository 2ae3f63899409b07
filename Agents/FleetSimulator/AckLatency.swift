import Histogram

/// How long rows take from their tick to their acknowledgement, and which rows of one agent still wait for it.
struct AckLatency: Sendable {
  /// Milliseconds from tick to acknowledgement, three digits, up to a day.
  private(set) var histogram = Self.empty

  static let longestMilliseconds: UInt64 = 86_400_000
  private static let empty = Histogram<UInt32>(
    lowestDiscernibleValue: 1, highestTrackableValue: longestMilliseconds, numberOfSignificantValueDigits: .three)

  mutating func record(milliseconds: Int64) {
    _ = histogram.record(min(UInt64(max(0, milliseconds)), Self.longestMilliseconds))
  }

  mutating func add(_ other: AckLatency) { histogram.add(other.histogram) }

  /// Milliseconds that this share of the rows did not exceed; `nil` before the first acknowledgement.
  func milliseconds(percentile: Double) -> UInt64? {
    histogram.totalCount > 0 ? histogram.valueAtPercentile(percentile) : nil
  }

  /// The longest; `nil` before the first acknowledgement.
  var longest: UInt64? { histogram.totalCount > 0 ? histogram.maxRecorded : nil }
}

/// The rows of one agent that are not acknowledged, oldest first: number and boot clock at the tick.
struct AwaitedRows {
  private var rows: [(sequence: UInt64, boottime: Int64)] = []
  private var head = 0

  mutating func append(_ sequence: UInt64, boottime: Int64) { rows.append((sequence, boottime)) }

  /// Takes out all rows up to `floor`.
  mutating func release(through floor: UInt64, _ body: (_ boottime: Int64) -> Void) {
    while head < rows.count, rows[head].sequence <= floor {
      body(rows[head].boottime)
      head += 1
    }
    guard head > 0, head == rows.count || head >= 256 else { return }
    rows.removeFirst(head)
    head = 0
  }

  mutating func removeAll() {
    rows.removeAll()
    head = 0
  }
}
