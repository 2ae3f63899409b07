/// Counts of readings by bucket: answers any quantile with a relative error of at most 1 %, and merges exactly, so that a
/// sketch of a month is the sum of the sketches of its minutes whatever the order.
///
/// After the idea of DDSketch (Masson, Rim and Lee, VLDB 2019) with integer buckets, see ``QuantileScale``. Only the
/// span of buckets in use is stored.
public struct QuantileSketch: Hashable, Sendable {
  /// Readings counted.
  public private(set) var count: Int64 = 0
  /// Counts of buckets `firstBucket`, `firstBucket` + 1, …; negative values have buckets below zero.
  private(set) var firstBucket = 0
  private(set) var counts: [UInt32] = []

  public init() {}

  /// The sketch of some buckets in a row; `nil` where these can be none: a count below zero or above 32 bits, a bucket that no
  /// reading has.
  public init?(first: Int64, counts: [Int64]) {
    guard abs(first) < 1 << 16, counts.count <= 1 << 14 else { return nil }
    for (index, readings) in counts.enumerated() where readings != 0 {
      guard let readings = UInt32(exactly: readings) else { return nil }
      add(bucket: Int(first) + index, readings)
    }
  }

  /// The span of buckets in use: the first of them, and how many readings each has.
  public var buckets: (first: Int, counts: [UInt32]) { (firstBucket, counts) }

  /// Counts one reading.
  public mutating func add(_ reading: Int64) {
    add(bucket: Self.signedBucket(of: reading), 1)
  }

  /// Adds all readings of `other`.
  public mutating func merge(_ other: QuantileSketch) {
    guard !other.counts.isEmpty else { return }
    reserve(other.firstBucket, other.firstBucket + other.counts.count - 1)
    let shift = other.firstBucket - firstBucket
    for index in other.counts.indices { counts[shift + index] &+= other.counts[index] }
    count += other.count
  }

  /// The reading below which the share `rank` (0 to 1) of all readings lies, as the nearest-rank rule names it; `nil`
  /// when there is none.
  public func quantile(_ rank: Double) -> Double? {
    guard count > 0, rank >= 0, rank <= 1 else { return nil }
    let target = max(1, Int64((rank * Double(count)).rounded(.up)))
    var seen: Int64 = 0
    for index in counts.indices {
      seen += Int64(counts[index])
      if seen >= target { return Self.value(of: firstBucket + index) }
    }
    return nil
  }

  mutating func add(bucket: Int, _ readings: UInt32) {
    reserve(bucket, bucket)
    counts[bucket - firstBucket] &+= readings
    count += Int64(readings)
  }

  /// Values below zero mirror those above: -1 is bucket -1.
  static func signedBucket(of value: Int64) -> Int {
    value >= 0 ? QuantileScale.bucket(of: value) : -QuantileScale.bucket(of: -value)
  }

  private static func value(of bucket: Int) -> Double {
    bucket >= 0 ? QuantileScale.middle(of: bucket) : -QuantileScale.middle(of: -bucket)
  }

  private mutating func reserve(_ first: Int, _ last: Int) {
    if counts.isEmpty {
      firstBucket = first
      counts = [UInt32](repeating: 0, count: last - first + 1)
      return
    }
    if first < firstBucket {
      counts.insert(contentsOf: repeatElement(0, count: firstBucket - first), at: 0)
      firstBucket = first
    }
    let needed = last - firstBucket + 1
    if needed > counts.count { counts.append(contentsOf: repeatElement(0, count: needed - counts.count)) }
  }
}

extension IntegerWriter {
  /// Counts of the buckets in use; of empty ones in a row only how many there are.
  public mutating func add(_ sketch: QuantileSketch) {
    add(sketch.firstBucket)
    add(sketch.counts.count)
    var index = 0
    while index < sketch.counts.count {
      add(Int64(sketch.counts[index]))
      guard sketch.counts[index] == 0 else {
        index += 1
        continue
      }
      let start = index
      while index < sketch.counts.count, sketch.counts[index] == 0 { index += 1 }
      add(index - start)
    }
  }
}

extension IntegerReader {
  public mutating func sketch() throws(PackedIntegersUnreadable) -> QuantileSketch {
    let first = try next()
    let count = try self.count(max: 1 << 14)
    guard abs(first) < 1 << 16 else { throw PackedIntegersUnreadable(offset: offset) }
    var sketch = QuantileSketch()
    var index = 0
    while index < count {
      let readings = try self.count(max: Int(UInt32.max))
      if readings > 0 {
        sketch.add(bucket: Int(first) + index, UInt32(readings))
        index += 1
      } else {
        let run = try self.count(max: count - index)
        guard run > 0 else { throw PackedIntegersUnreadable(offset: offset) }
        index += run
      }
    }
    return sketch
  }
}
