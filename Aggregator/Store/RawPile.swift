internal import BongsuModel

/// Rows of one node in any order, on their way to runs: what was read from a journal, or chunks that overlap.
///
/// Of rows with the same tick the one that was put first counts, so that rows go in by the order of their records.
struct RawPile {
  private struct Entry {
    let tick: Int64
    let shape: Int32
    let row: Int32
  }

  /// Rows of one layout, with the words of the wanted columns, row after row.
  private struct Shape {
    let layout: RowLayout
    let columns: [Int]
    let ranges: [Range<Int>]
    let width: Int
    var words: [Int64] = []
  }

  /// Rows that one run holds at most, so that what is turned and handed over stays small.
  static let runRowsMax = 4096

  private var entries: [Entry] = []
  private var shapes: [Shape] = []
  private var isSorted = true

  /// Words held.
  private(set) var wordCount = 0
  var isEmpty: Bool { entries.isEmpty }

  /// Puts one whole row.
  mutating func put(_ layout: RowLayout, _ tick: Tick, _ row: Span<Int64>, _ selection: RawSelection) {
    let shape = find(layout, selection)
    guard shapes[shape].width > 0 else { return }
    let number = shapes[shape].words.count / shapes[shape].width
    for range in shapes[shape].ranges {
      for position in range { shapes[shape].words.append(row[position]) }
    }
    note(tick, shape, number)
  }

  /// Puts all rows of a run.
  mutating func put(_ run: RawRun, _ selection: RawSelection) {
    let shape = find(run.layout, selection)
    let width = shapes[shape].width
    guard width > 0 else { return }
    let rows = run.ticks.count
    for (row, tick) in run.ticks.enumerated() {
      let number = shapes[shape].words.count / width
      for value in 0..<width { shapes[shape].words.append(run.words[value * rows + row]) }
      note(tick, shape, number)
    }
  }

  private mutating func find(_ layout: RowLayout, _ selection: RawSelection) -> Int {
    if let last = shapes.indices.last, shapes[last].layout == layout { return last }
    if let known = shapes.firstIndex(where: { $0.layout == layout }) { return known }
    let columns = selection.columns(of: layout)
    let ranges = columns.map { layout.range(of: $0) }
    shapes.append(
      Shape(layout: layout, columns: columns, ranges: ranges, width: ranges.reduce(0) { $0 + $1.count }))
    return shapes.count - 1
  }

  private mutating func note(_ tick: Tick, _ shape: Int, _ row: Int) {
    if let last = entries.last, last.tick >= tick.unixMilliseconds { isSorted = false }
    entries.append(Entry(tick: tick.unixMilliseconds, shape: Int32(shape), row: Int32(row)))
    wordCount += shapes[shape].width
  }

  /// The rows as runs, by tick, each tick once.
  ///
  /// - Parameter rowsMax: rows that one run may have.
  func runs(of node: NodeID, rowsMax: Int = Self.runRowsMax) -> [RawRun] {
    var order = entries
    if !isSorted {
      let sorted = entries.enumerated().sorted { ($0.element.tick, $0.offset) < ($1.element.tick, $1.offset) }
      order.removeAll(keepingCapacity: true)
      for (_, entry) in sorted where order.last?.tick != entry.tick { order.append(entry) }
    }
    var runs: [RawRun] = []
    var start = 0
    while start < order.count {
      var end = start
      while end < order.count, order[end].shape == order[start].shape, end - start < rowsMax { end += 1 }
      runs.append(run(of: node, order[start..<end]))
      start = end
    }
    return runs
  }

  private func run(of node: NodeID, _ entries: ArraySlice<Entry>) -> RawRun {
    let shape = shapes[Int(entries.first?.shape ?? 0)]
    let rows = entries.count
    var words = [Int64](repeating: 0, count: rows * shape.width)
    for (position, entry) in entries.enumerated() {
      let first = Int(entry.row) * shape.width
      for value in 0..<shape.width { words[value * rows + position] = shape.words[first + value] }
    }
    return RawRun(
      node: node, layout: shape.layout, columns: shape.columns,
      ticks: entries.map { Tick(unixMilliseconds: $0.tick) }, words: words)
  }
}
