public import BongsuModel

/// Quantile sketches of the running minute, per hall and allocation: dense counters, so that counting a reading is one
/// addition. Two minutes are open at a time, because open ticks may lie on both sides of a minute's end.
struct SketchTable: Sendable {
  /// Minute whose readings a half of the table holds, as the tick that ends it; `Int64.min` when empty.
  private var minutes = [Int64](repeating: .min, count: 2)
  private var counts: [UInt32]
  private let cellWords: Int
  /// Sketch cell of each leaf.
  private let cellOfLeaf: [Int32]
  let cellCount: Int
  private var lateSketches: [Int64: [Int32: [QuantileSketch]]] = [:]

  /// Place of a gauge's buckets within a cell.
  private struct Range: Sendable {
    /// First counter, -1 for gauges without a sketch.
    var offset = -1
    /// Counter of the value 0, from `offset`.
    var zero = 0
    var last = 0
  }

  private static let layout: (ranges: [Range], words: Int) = {
    var words = 0
    let ranges = RolledMetric.all.map { metric in
      guard metric.hasSketch else { return Range() }
      let buckets = QuantileScale.bucketCount(bits: metric.sketchBits)
      let zero = metric.allowsNegative ? buckets - 1 : 0
      defer { words += zero + buckets }
      return Range(offset: words, zero: zero, last: zero + buckets - 1)
    }
    return (ranges, words)
  }()

  init(_ plan: RollupPlan) {
    cellOfLeaf = plan.leafHallShare
    cellCount = plan.hallShares.count
    cellWords = Self.layout.words
    counts = [UInt32](repeating: 0, count: 2 * cellCount * cellWords)
  }

  /// The minute that a tick belongs to, named by its end.
  static func minute(of time: Int64) -> Int64 { (time + 59_999).flooredDivision(by: 60_000) * 60_000 }

  /// Counts all readings of a row's gauges.
  @inline(__always)
  mutating func add(
    _ row: borrowing Span<Int64>, _ columns: borrowing Span<RowProgram.Column>, leaf: Int, at time: Int64
  ) {
    let minute = Self.minute(of: time)
    let half = Int(minute / 60_000) & 1
    minutes[half] = minute
    let base = (half &* cellCount &+ Int(cellOfLeaf[leaf])) &* cellWords
    let ranges = Self.layout.ranges.span
    var counters = counts.mutableSpan
    for index in columns.indices {
      let column = columns[index]
      let range = ranges[Int(column.slot)]
      guard range.offset >= 0 else { continue }
      let zero = base &+ range.offset &+ range.zero
      let last = base &+ range.offset &+ range.last
      for position in Int(column.offset)..<Int(column.offset) &+ Int(column.count) {
        let reading = row[position]
        guard reading != RowKernel.absent else { continue }
        let bucket =
          reading >= 0
          ? min(zero &+ QuantileScale.bucket(of: reading), last)
          : max(zero &- QuantileScale.bucket(of: 0 &- reading), base &+ range.offset)
        counters[bucket] &+= 1
      }
    }
  }

  /// Counts a row whose minute is handed out already.
  mutating func addLate(
    _ row: borrowing Span<Int64>, _ columns: borrowing Span<RowProgram.Column>, leaf: Int, at time: Int64
  ) {
    let minute = Self.minute(of: time)
    let half = Int(minute / 60_000) & 1
    guard minutes[half] != minute else { return add(row, columns, leaf: leaf, at: time) }
    let cell = cellOfLeaf[leaf]
    var sketches =
      lateSketches[minute, default: [:]].removeValue(forKey: cell)
      ?? Array(repeating: QuantileSketch(), count: RolledMetric.all.count)
    for index in columns.indices where Self.layout.ranges[Int(columns[index].slot)].offset >= 0 {
      let column = columns[index]
      for position in Int(column.offset)..<Int(column.offset + column.count) where row[position] != RowKernel.absent {
        sketches[Int(column.slot)].add(row[position])
      }
    }
    lateSketches[minute, default: [:]][cell] = sketches
  }

  /// Hands out the sketches of the minute that ends at `minute` and empties its half; `nil` when it has none.
  mutating func take(minute: Int64) -> SketchFrame? {
    let half = Int(minute / 60_000) & 1
    guard minutes[half] == minute else { return nil }
    minutes[half] = .min
    var frame = SketchFrame(minuteEnd: Tick(unixMilliseconds: minute))
    for cell in 0..<cellCount {
      let base = (half * cellCount + cell) * cellWords
      for (slot, range) in Self.layout.ranges.enumerated() where range.offset >= 0 {
        var sketch = QuantileSketch()
        for index in 0...range.last where counts[base + range.offset + index] > 0 {
          sketch.add(bucket: index - range.zero, counts[base + range.offset + index])
          counts[base + range.offset + index] = 0
        }
        if sketch.count > 0 { frame.entries.append((Int32(cell), Int32(slot), sketch)) }
      }
    }
    return frame
  }

  /// Corrections of minutes handed out before, ascending.
  mutating func takeLate() -> [SketchFrame] {
    defer { lateSketches.removeAll() }
    return lateSketches.sorted { $0.key < $1.key }.map { minute, cells in
      var frame = SketchFrame(minuteEnd: Tick(unixMilliseconds: minute))
      for (cell, sketches) in cells.sorted(by: { $0.key < $1.key }) {
        for (slot, sketch) in sketches.enumerated() where sketch.count > 0 {
          frame.entries.append((cell, Int32(slot), sketch))
        }
      }
      return frame
    }
  }
}

/// Quantile sketches that one shard adds to one minute, per hall and allocation.
public struct SketchFrame: Sendable {
  /// The tick that ends the minute: it holds the ticks in the minute up to and including this one.
  public let minuteEnd: Tick
  var entries: [(cell: Int32, slot: Int32, sketch: QuantileSketch)] = []

  init(minuteEnd: Tick) {
    self.minuteEnd = minuteEnd
  }
}
