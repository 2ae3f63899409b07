public import BongsuModel

/// Quantile sketches of the running minute, per hall and allocation: dense counters, so that counting a reading is one
/// addition. Two minutes are open at a time, because open ticks may lie on both sides of a minute's end.
struct SketchTable: Sendable {
  /// Minute whose readings a half of the table holds, as the tick that ends it; `Int64.min` when empty.
  private var minutes = [Int64](repeating: .min, count: 2)
  var counts: [UInt32]
  private let cellWords: Int
  /// Sketch cell of each leaf.
  private let cellOfLeaf: [Int32]
  let cellCount: Int
  private var lateSketches: [Int64: [Int32: [QuantileSketch]]] = [:]

  /// Place of a gauge's buckets within a cell.
  struct Place: Hashable, Sendable, BitwiseCopyable {
    /// First counter, -1 for gauges without a sketch.
    var first: Int32 = -1
    /// Counters of the value 0 and of the largest value.
    var zero: Int32 = 0
    var last: Int32 = 0
  }

  /// Places of all gauges, in the order of ``RolledMetric/all``, and the counters of a cell.
  static let layout: (places: [Place], words: Int) = {
    var words: Int32 = 0
    let places = RolledMetric.all.map { metric in
      guard metric.hasSketch else { return Place() }
      let buckets = Int32(QuantileScale.bucketCount(bits: metric.sketchBits))
      let zero = words + (metric.allowsNegative ? buckets - 1 : 0)
      defer { words = zero + buckets }
      return Place(first: words, zero: zero, last: zero + buckets - 1)
    }
    return (places, Int(words))
  }()

  /// A table without a reading; one that is not `isKept` takes none and holds no memory.
  init(_ plan: RollupPlan, isKept: Bool) {
    cellOfLeaf = plan.leafHallShare
    cellCount = plan.hallShares.count
    cellWords = Self.layout.words
    counts = [UInt32](repeating: 0, count: isKept ? 2 * cellCount * cellWords : 0)
  }

  /// The minute that a tick belongs to, named by its end.
  static func minute(of time: Int64) -> Int64 { (time + 59_999).flooredDivision(by: 60_000) * 60_000 }

  /// Where the counters of `leaf` begin for the minute of `time`.
  @inline(__always)
  mutating func cell(_ leaf: Int, at time: Int64) -> Int {
    let minute = Self.minute(of: time)
    let half = Int(minute / 60_000) & 1
    minutes[half] = minute
    return (half &* cellCount &+ Int(cellOfLeaf[leaf])) &* cellWords
  }

  /// Counts the readings of one column, `column.sketch` having a place, in the cell that begins at `base`.
  @inline(__always)
  static func add(
    _ row: borrowing Span<Int64>, _ column: RowProgram.Column, minimum: Int64, to counters: inout MutableSpan<UInt32>,
    at base: Int
  ) {
    let first = Int(column.offset)
    let end = first &+ Int(column.count)
    let zero = base &+ Int(column.sketch.zero)
    let last = base &+ Int(column.sketch.last)
    if minimum >= 0 {
      for position in first..<end {
        counters[min(zero &+ QuantileScale.bucket(of: row[position]), last)] &+= 1
      }
      return
    }
    for position in first..<end where row[position] != RowKernel.absent {
      let reading = row[position]
      let bucket =
        reading >= 0
        ? min(zero &+ QuantileScale.bucket(of: reading), last)
        : max(zero &- QuantileScale.bucket(of: 0 &- reading), base &+ Int(column.sketch.first))
      counters[bucket] &+= 1
    }
  }

  /// Counts a row whose minute is handed out already.
  mutating func addLate(
    _ row: borrowing Span<Int64>, _ columns: borrowing Span<RowProgram.Column>, leaf: Int, at time: Int64
  ) {
    let minute = Self.minute(of: time)
    let half = Int(minute / 60_000) & 1
    if minutes[half] == minute { return addInTime(row, columns, leaf: leaf, at: time) }
    let cell = cellOfLeaf[leaf]
    var sketches =
      lateSketches[minute, default: [:]].removeValue(forKey: cell)
      ?? Array(repeating: QuantileSketch(), count: RolledMetric.all.count)
    for index in columns.indices where columns[index].sketch.first >= 0 {
      let column = columns[index]
      for position in Int(column.offset)..<Int(column.offset + column.count) where row[position] != RowKernel.absent {
        sketches[Int(column.slot)].add(row[position])
      }
    }
    lateSketches[minute, default: [:]][cell] = sketches
  }

  private mutating func addInTime(
    _ row: borrowing Span<Int64>, _ columns: borrowing Span<RowProgram.Column>, leaf: Int, at time: Int64
  ) {
    let base = cell(leaf, at: time)
    var counters = counts.mutableSpan
    for index in columns.indices where columns[index].sketch.first >= 0 {
      // The smallest integer takes the loop that looks at every reading.
      Self.add(row, columns[index], minimum: .min, to: &counters, at: base)
    }
  }

  /// Hands out the sketches of the minute that ends at `minute` and empties its half; `nil` when it has none.
  mutating func take(minute: Int64) -> SketchFrame? {
    let half = Int(minute / 60_000) & 1
    guard minutes[half] == minute else { return nil }
    minutes[half] = .min
    var frame = SketchFrame(minuteEnd: Tick(unixMilliseconds: minute))
    for cell in 0..<cellCount {
      let base = (half * cellCount + cell) * cellWords
      for (slot, place) in Self.layout.places.enumerated() where place.first >= 0 {
        var sketch = QuantileSketch()
        for index in Int(place.first)...Int(place.last) where counts[base + index] > 0 {
          sketch.add(bucket: index - Int(place.zero), counts[base + index])
          counts[base + index] = 0
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
