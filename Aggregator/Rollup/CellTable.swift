public import BongsuModel

/// A row of cells: the exact totals of as many groups (racks, halls, allocations, …) at one tick.
///
/// Cells are added word by word; sums and counts add up, extremes take the wider. Everything is integer, so the order
/// of additions does not matter, and sums over any partition of the nodes agree to the last milliwatt.
public struct CellTable: Hashable, Sendable {
  /// The table as it is stored: ``wordsPerCell`` words for each cell.
  public internal(set) var words: [Int64]
  /// Cells in the table.
  public let count: Int

  /// `count` empty cells.
  init(count: Int) {
    self.count = count
    words = []
    words.reserveCapacity(count * CellLayout.words)
    for _ in 0..<count { words.append(contentsOf: CellLayout.empty) }
  }

  /// Words of one cell.
  public static var wordsPerCell: Int { CellLayout.words }

  /// A table as it was stored; `nil` when `words` do not have the shape of `count` cells.
  public init?(count: Int, words: [Int64]) {
    guard words.count == count * CellLayout.words else { return nil }
    self.count = count
    self.words = words
  }

  /// Adds a correction of the same tick and level: late rows enter as if they had been in time.
  public mutating func add(_ correction: CellTable) {
    precondition(correction.count == count, "\(correction.count) cells added to \(count)")
    for cell in 0..<count { add(correction, cell, to: cell) }
  }

  /// Totals of `metric` in cell number `cell`; `nil` when the metric is not rolled up.
  public func gauge(_ metric: MetricID, _ cell: Int) -> GaugeTotals? {
    RolledMetric.slot(of: metric).map { gauge(slot: $0, cell) }
  }

  /// Totals of the gauge at `slot` of ``RolledMetric/all`` in cell number `cell`.
  public func gauge(slot: Int, _ cell: Int) -> GaugeTotals {
    let base = cell * CellLayout.words + CellLayout.gauge(slot)
    return GaugeTotals(
      sum: words[base], count: words[base + 1], minimum: words[base + 2], maximum: words[base + 3])
  }

  /// What `field` counts in cell number `cell`.
  public func field(_ field: RolledField, _ cell: Int) -> Int64 {
    words[cell * CellLayout.words + CellLayout.field(field)]
  }

  /// IT power of the cell, measured and estimated, mW.
  public func totalMilliwatts(_ cell: Int) -> Int64 {
    // Wrapping, because a broken sensor may claim any power and must not stop the process.
    field(.measuredPower, cell) &+ estimatedMilliwatts(cell)
  }

  /// The part of ``totalMilliwatts(_:)`` that no sensor read, mW.
  public func estimatedMilliwatts(_ cell: Int) -> Int64 {
    field(.scaledPower, cell) &+ field(.missingPower, cell)
  }

  /// Share of expected GPUs that reported; `nil` when none is expected.
  public func coverage(_ cell: Int) -> Double? {
    let expected = field(.expectedGPUs, cell)
    return expected > 0 ? Double(field(.coveredGPUs, cell)) / Double(expected) : nil
  }

  mutating func setField(_ field: RolledField, _ cell: Int, _ value: Int64) {
    words[cell * CellLayout.words + CellLayout.field(field)] = value
  }

  mutating func addField(_ field: RolledField, _ cell: Int, _ value: Int64) {
    words[cell * CellLayout.words + CellLayout.field(field)] &+= value
  }

  /// Makes every cell empty again. Does not allocate.
  mutating func clear() {
    for cell in 0..<count { clear(cell) }
  }

  mutating func clear(_ cell: Int) {
    CellLayout.clear(&words, at: cell * CellLayout.words)
  }

  /// Adds cell number `source` of `other` to cell number `cell`. Does not allocate.
  mutating func add(_ other: CellTable, _ source: Int, to cell: Int) {
    Self.add(other.words.span, source * CellLayout.words, to: &words, cell * CellLayout.words)
  }

  /// Adds cell number `source` of this table to cell number `cell`. Does not allocate.
  mutating func addWithin(_ source: Int, to cell: Int) {
    precondition(source != cell, "cell \(cell) added to itself")
    var target = words.mutableSpan
    let from = source * CellLayout.words
    let to = cell * CellLayout.words
    for slot in 0..<CellLayout.gaugeCount {
      let word = CellLayout.gauge(slot)
      target[to + word] &+= target[from + word]
      target[to + word + 1] &+= target[from + word + 1]
      target[to + word + 2] = Swift.min(target[to + word + 2], target[from + word + 2])
      target[to + word + 3] = Swift.max(target[to + word + 3], target[from + word + 3])
    }
    for word in CellLayout.fieldBase..<CellLayout.words { target[to + word] &+= target[from + word] }
  }

  static func add(_ source: Span<Int64>, _ from: Int, to words: inout [Int64], _ to: Int) {
    var target = words.mutableSpan
    for slot in 0..<CellLayout.gaugeCount {
      let word = CellLayout.gauge(slot)
      target[to + word] &+= source[from + word]
      target[to + word + 1] &+= source[from + word + 1]
      target[to + word + 2] = Swift.min(target[to + word + 2], source[from + word + 2])
      target[to + word + 3] = Swift.max(target[to + word + 3], source[from + word + 3])
    }
    for word in CellLayout.fieldBase..<CellLayout.words { target[to + word] &+= source[from + word] }
  }
}
