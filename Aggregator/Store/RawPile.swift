internal import BongsuModel

/// Rows of one node in any order, on their way to runs or chunks: what was read from a journal, or chunks that overlap.
///
/// Of rows with the same tick the one that was put first counts, so that rows go in by the order of their records.
struct RawPile {
  private struct Entry {
    let tick: Int64
    let record: UInt64
    let shape: Int32
    let row: Int32
  }

  /// Rows of one layout, with the words of the wanted columns, row after row.
  private struct Shape {
    let layout: RowLayout
    let columns: [Int]
    let ranges: [Range<Int>]
    let width: Int
    /// Whether all words of a row are wanted.
    let isWhole: Bool
    var words: [Int64] = []
  }

  /// Rows of one layout in the order of time, row after row.
  struct Stretch {
    let layout: RowLayout
    let columns: [Int]
    let ticks: [Int64]
    let rows: [Int64]
  }

  /// Rows that one run holds at most, so that what is turned and handed over stays small.
  static let runRowsMax = 4096

  private var entries: [Entry] = []
  private var shapes: [Shape] = []
  private let rowsExpected: Int

  /// An empty pile that has room for `rows` rows of its first layout.
  init(rows: Int = 0) {
    rowsExpected = rows
    entries.reserveCapacity(rows)
  }

  /// Words held.
  private(set) var wordCount = 0
  var rowCount: Int { entries.count }
  /// First and last tick, milliseconds; `nil` when it is empty.
  private(set) var extent: ClosedRange<Int64>?

  /// Puts one whole row.
  ///
  /// - Parameter record: the journal's record that holds it; 0 for rows of chunks.
  mutating func put(
    _ layout: RowLayout, _ tick: Tick, _ row: Span<Int64>, record: UInt64, _ selection: RawSelection
  ) {
    let shape = find(layout, selection)
    guard shapes[shape].width > 0 || selection.skipsValues else { return }
    let number = shapes[shape].words.count / max(1, shapes[shape].width)
    if shapes[shape].isWhole {
      // SAFETY: read during the call alone.
      unsafe row.withUnsafeBufferPointer { unsafe shapes[shape].words.append(contentsOf: $0) }
    } else {
      for range in shapes[shape].ranges {
        for position in range { shapes[shape].words.append(row[position]) }
      }
    }
    note(tick, record, shape, number)
  }

  /// Puts all rows of a run.
  mutating func put(_ run: RawRun, _ selection: RawSelection) {
    let shape = find(run.layout, selection)
    let width = shapes[shape].width
    guard width > 0 || selection.skipsValues else { return }
    let rows = run.ticks.count
    for (row, tick) in run.ticks.enumerated() {
      let number = shapes[shape].words.count / max(1, width)
      for value in 0..<width { shapes[shape].words.append(run.words[value * rows + row]) }
      note(tick, 0, shape, number)
    }
  }

  private mutating func find(_ layout: RowLayout, _ selection: RawSelection) -> Int {
    if let last = shapes.indices.last, shapes[last].layout == layout { return last }
    if let known = shapes.firstIndex(where: { $0.layout == layout }) { return known }
    let columns = selection.columns(of: layout)
    let ranges = columns.map { layout.range(of: $0) }
    let width = ranges.reduce(0) { $0 + $1.count }
    var shape = Shape(
      layout: layout, columns: columns, ranges: ranges, width: width,
      isWhole: columns.elementsEqual(layout.columns.indices))
    if shapes.isEmpty { shape.words.reserveCapacity(rowsExpected * width) }
    shapes.append(shape)
    return shapes.count - 1
  }

  private mutating func note(_ tick: Tick, _ record: UInt64, _ shape: Int, _ row: Int) {
    let tick = tick.unixMilliseconds
    extent = extent.map { min($0.lowerBound, tick)...max($0.upperBound, tick) } ?? tick...tick
    entries.append(Entry(tick: tick, record: record, shape: Int32(shape), row: Int32(row)))
    wordCount += shapes[shape].width
  }

  /// The rows with ticks in `range` in the order of time, each tick once, cut where the layout changes.
  ///
  /// - Parameters:
  ///   - rowsMax: rows that one stretch may have.
  ///   - wants: whether a row counts, by its tick and record.
  func stretches(
    in range: ClosedRange<Int64>, rowsMax: Int, wants: (_ tick: Int64, _ record: UInt64) -> Bool = { _, _ in true }
  ) -> [Stretch] {
    guard let extent, extent.overlaps(range) else { return [] }
    var order = entries.filter { range.contains($0.tick) && wants($0.tick, $0.record) }
    if zip(order, order.dropFirst()).contains(where: { $0.tick >= $1.tick }) {
      let sorted = order.enumerated().sorted { ($0.element.tick, $0.offset) < ($1.element.tick, $1.offset) }
      order.removeAll(keepingCapacity: true)
      for (_, entry) in sorted where order.last?.tick != entry.tick { order.append(entry) }
    }
    var stretches: [Stretch] = []
    var start = 0
    while start < order.count {
      var end = start
      while end < order.count, order[end].shape == order[start].shape, end - start < rowsMax { end += 1 }
      stretches.append(stretch(order[start..<end]))
      start = end
    }
    return stretches
  }

  private func stretch(_ entries: ArraySlice<Entry>) -> Stretch {
    let shape = shapes[Int(entries.first?.shape ?? 0)]
    var rows: [Int64] = []
    rows.reserveCapacity(entries.count * shape.width)
    for entry in entries {
      let first = Int(entry.row) * shape.width
      rows += shape.words[first..<(first + shape.width)]
    }
    return Stretch(layout: shape.layout, columns: shape.columns, ticks: entries.map(\.tick), rows: rows)
  }

  /// The same as runs.
  func runs(
    of node: NodeID, in range: ClosedRange<Int64>,
    wants: (_ tick: Int64, _ record: UInt64) -> Bool = { _, _ in true }
  ) -> [RawRun] {
    stretches(in: range, rowsMax: Self.runRowsMax, wants: wants).map { stretch in
      let rows = stretch.ticks.count
      let width = stretch.rows.count / rows
      var words = [Int64](repeating: 0, count: rows * width)
      for row in 0..<rows {
        for value in 0..<width { words[value * rows + row] = stretch.rows[row * width + value] }
      }
      return RawRun(
        node: node, layout: stretch.layout, columns: stretch.columns,
        ticks: stretch.ticks.map { Tick(unixMilliseconds: $0) }, words: words)
    }
  }
}
