public import BongsuModel
internal import BongsuRecordLog

/// Totals of one group over one window: sum, count and extremes of each gauge, and plain counts. Exact; merging cells of
/// parts of a window in any order gives the cell of the whole.
public struct TierCell: Hashable, Sendable {
  /// Sum, count, minimum and maximum of one metric's readings, in wire units.
  public struct Totals: Hashable, Sendable, BitwiseCopyable {
    public var sum: Int64
    public var count: Int64
    public var minimum: Int64
    public var maximum: Int64

    /// - Precondition: `count` is positive; a metric without readings has no totals.
    public init(sum: Int64, count: Int64, minimum: Int64, maximum: Int64) {
      self.sum = sum
      self.count = count
      self.minimum = minimum
      self.maximum = maximum
    }
  }

  /// Totals by metric; a metric without readings is not there.
  public private(set) var metrics: [MetricID: Totals] = [:]
  /// Counts by their number, which is the owner's business; they add up, and a zero is not kept.
  public private(set) var fields: [UInt8: Int64] = [:]

  /// An empty cell.
  public init() {}

  /// Whether nothing was added.
  public var isEmpty: Bool { metrics.isEmpty && fields.isEmpty }

  /// Adds readings of one metric.
  public mutating func add(_ metric: MetricID, _ totals: Totals) {
    precondition(totals.count > 0, "totals of \(totals.count) readings")
    guard let known = metrics[metric] else {
      metrics[metric] = totals
      return
    }
    metrics[metric] = Totals(
      sum: known.sum &+ totals.sum, count: known.count &+ totals.count, minimum: min(known.minimum, totals.minimum),
      maximum: max(known.maximum, totals.maximum))
  }

  /// Adds to a count.
  public mutating func add(field: UInt8, _ value: Int64) {
    let sum = fields[field, default: 0] &+ value
    fields[field] = sum == 0 ? nil : sum
  }

  /// Adds all of another cell.
  public mutating func merge(_ other: TierCell) {
    for (metric, totals) in other.metrics { add(metric, totals) }
    for (field, value) in other.fields { add(field: field, value) }
  }

  // MARK: Bytes, drawn in FORMAT.md

  func encoded() -> [UInt8] {
    var bytes: [UInt8] = [1, UInt8(metrics.count), UInt8(fields.count)]
    for (metric, totals) in metrics.sorted(by: { $0.key < $1.key }) {
      bytes.append(littleEndian: metric.rawValue)
      Self.append(totals.sum, &bytes)
      Self.append(totals.count, &bytes)
      Self.append(totals.minimum, &bytes)
      Self.append(totals.maximum &- totals.minimum, &bytes)
    }
    for (field, value) in fields.sorted(by: { $0.key < $1.key }) {
      bytes.append(field)
      Self.append(value, &bytes)
    }
    return bytes
  }

  /// Reads a cell; `nil` when the bytes are none. Never traps.
  init?(bytes: [UInt8]) {
    var offset = 3
    guard bytes.count >= 3, bytes[0] == 1 else { return nil }
    for _ in 0..<Int(bytes[1]) {
      guard offset + 2 <= bytes.count else { return nil }
      let id = MetricID(rawValue: UInt16(bytes[offset]) | UInt16(bytes[offset + 1]) << 8)
      offset += 2
      guard let sum = Self.take(bytes, &offset), let count = Self.take(bytes, &offset), count > 0,
        let minimum = Self.take(bytes, &offset), let width = Self.take(bytes, &offset), metrics[id] == nil
      else { return nil }
      metrics[id] = Totals(sum: sum, count: count, minimum: minimum, maximum: minimum &+ width)
    }
    for _ in 0..<Int(bytes[2]) {
      guard offset < bytes.count else { return nil }
      let field = bytes[offset]
      offset += 1
      guard let value = Self.take(bytes, &offset), fields[field] == nil else { return nil }
      fields[field] = value
    }
    guard offset == bytes.count else { return nil }
  }

  /// Zigzag LEB128.
  private static func append(_ value: Int64, _ bytes: inout [UInt8]) {
    var rest = UInt64(bitPattern: (value &<< 1) ^ (value &>> 63))
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest &>>= 7
    }
    bytes.append(UInt8(rest))
  }

  private static func take(_ bytes: [UInt8], _ offset: inout Int) -> Int64? {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while offset < bytes.count, shift < 64 {
      let byte = bytes[offset]
      offset += 1
      value |= UInt64(byte & 0x7F) &<< shift
      if byte < 0x80 { return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }
      shift += 7
    }
    return nil
  }
}
