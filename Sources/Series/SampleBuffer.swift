/// The value that marks the end of a series.
public enum StaleMarker {
  /// The bit pattern of Prometheus's stale marker: a NaN that no arithmetic produces.
  public static let bits: UInt64 = 0x7FF0_0000_0000_0002

  /// The marker as a sample value.
  public static let value = Double(bitPattern: bits)

  /// Whether a sample value is the marker. A plain NaN is not.
  @inlinable
  public static func isStale(_ value: Double) -> Bool { value.bitPattern == bits }
}

/// Samples of one series in order of time, as two columns.
///
/// A source keeps one buffer and refills it for every series it visits, so that reading costs no allocation per
/// sample and, once the buffer has grown, none per series.
public struct SampleBuffer: Sendable {
  /// Milliseconds since 1970-01-01 UTC, strictly increasing.
  public private(set) var timestamps: [Int64] = []
  /// One value per timestamp; may be a stale marker.
  public private(set) var values: [Double] = []

  public init() {}

  /// Samples that are there already. Several buffers may share the memory of one array of timestamps.
  ///
  /// - Precondition: as many values as timestamps, and (checked in debug builds) timestamps strictly ascending.
  public init(timestamps: [Int64], values: [Double]) {
    precondition(timestamps.count == values.count, "\(timestamps.count) timestamps of \(values.count) values")
    assert(zip(timestamps, timestamps.dropFirst()).allSatisfy { $0 < $1 }, "samples must be in order of time")
    self.timestamps = timestamps
    self.values = values
  }

  /// How many samples there are.
  public var count: Int { timestamps.count }
  /// Whether there is no sample.
  public var isEmpty: Bool { timestamps.isEmpty }

  /// Appends a sample. Precondition (checked in debug builds): later than the last one.
  @inline(__always)
  public mutating func append(timestamp: Int64, value: Double) {
    assert(timestamps.last.map { $0 < timestamp } ?? true, "samples must be appended in order of time")
    timestamps.append(timestamp)
    values.append(value)
  }

  /// Removes all samples and keeps the memory.
  public mutating func removeAll() {
    timestamps.removeAll(keepingCapacity: true)
    values.removeAll(keepingCapacity: true)
  }

  /// Makes room, once, for a window of known size.
  public mutating func reserve(_ samples: Int) {
    timestamps.reserveCapacity(samples)
    values.reserveCapacity(samples)
  }
}
