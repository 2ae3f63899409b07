internal import BongsuModel

/// Stored rows of a few metrics in memory, by node and tick, each tick once.
///
///     node ─▶ stretch ─▶ ticks       t0 t1 t2 …        one array
///             of one     words of    v0 v1 v2 …        one array for each device of each column
///             layout
///
/// A row behind the newest one of its node is appended, as live ones are; any other is put where it belongs. Of rows with
/// the same tick the first that came counts.
struct RowTable: Sendable {
  private struct Stretch: Sendable {
    let layout: RowLayout
    let columns: [Int]
    /// Where the wanted words lie in a row.
    let ranges: [Range<Int>]
    /// Strictly ascending.
    var ticks: [Tick] = []
    /// In the order of columns, of each the devices.
    var words: [[Int64]]

    init(_ layout: RowLayout, _ columns: [Int]) {
      self.layout = layout
      self.columns = columns
      ranges = columns.map { layout.range(of: $0) }
      words = Array(repeating: [], count: ranges.reduce(0) { $0 + $1.count })
    }

    var last: Tick { ticks[ticks.count - 1] }

    mutating func insert(_ row: Span<Int64>, _ tick: Tick, at position: Int) {
      ticks.insert(tick, at: position)
      var series = 0
      for range in ranges {
        for word in range {
          words[series].insert(row[word], at: position)
          series += 1
        }
      }
    }

    mutating func append(_ row: Span<Int64>, _ tick: Tick) {
      ticks.append(tick)
      var series = 0
      for range in ranges {
        for word in range {
          words[series].append(row[word])
          series += 1
        }
      }
    }

    /// Leaves the rows before `position` and returns the others.
    mutating func split(at position: Int) -> Stretch {
      var rest = Stretch(layout, columns)
      rest.ticks = Array(ticks[position...])
      for series in words.indices { rest.words[series] = Array(words[series][position...]) }
      removeRows(position..<ticks.count)
      return rest
    }

    mutating func removeRows(_ range: Range<Int>) {
      ticks.removeSubrange(range)
      for series in words.indices { words[series].removeSubrange(range) }
    }

    /// The rows in `range`, of the columns in `wanted`; `nil` when there are none.
    func run(_ node: NodeID, _ range: ClosedRange<Tick>, _ selection: RawSelection) -> RawRun? {
      let first = ticks.partitioningIndex { $0 >= range.lowerBound }
      let end = ticks.partitioningIndex { $0 > range.upperBound }
      guard first < end else { return nil }
      let wanted = selection.columns(of: layout)
      guard !wanted.isEmpty else { return nil }
      var flat: [Int64] = []
      flat.reserveCapacity((end - first) * words.count)
      var series = 0
      for (column, range) in zip(columns, ranges) {
        if wanted.contains(column) {
          for device in series..<(series + range.count) { flat.append(contentsOf: words[device][first..<end]) }
        }
        series += range.count
      }
      guard !flat.isEmpty else { return nil }
      let isWhole = first == 0 && end == ticks.count
      return RawRun(
        node: node, layout: layout, columns: wanted, ticks: isWhole ? ticks : Array(ticks[first..<end]), words: flat)
    }
  }

  private struct Node: Sendable {
    let id: NodeID
    /// In the order of time, none empty.
    var stretches: [Stretch] = []
  }

  let metrics: Set<MetricID>
  private let selection: RawSelection
  private var nodes: [Node] = []
  private var positions: [NodeID: Int] = [:]
  /// Whether `nodes` are in the order of names.
  private var isSorted = true
  /// Words held, ticks included.
  private(set) var wordCount = 0
  /// The newest tick there is; `nil` when there are no rows.
  private(set) var newest: Tick?

  init(metrics: Set<MetricID>) {
    self.metrics = metrics
    selection = RawSelection(ticks: Limits.tickRange, metrics: metrics)
  }

  // MARK: Putting

  /// Puts a run of rows that are all newer than what its node has; `false`, and nothing changed, when they are not.
  mutating func append(_ run: RawRun) -> Bool {
    guard let first = run.ticks.first, let last = run.ticks.last else { return true }
    let rows = run.ticks.count
    let node = position(of: run.node)
    let end = nodes[node].stretches.count
    if end > 0, nodes[node].stretches[end - 1].last >= first { return false }
    if end == 0 || nodes[node].stretches[end - 1].layout != run.layout {
      nodes[node].stretches.append(Stretch(run.layout, run.columns))
    }
    let place = nodes[node].stretches.count - 1
    nodes[node].stretches[place].ticks += run.ticks
    let width = nodes[node].stretches[place].words.count
    for series in 0..<width {
      nodes[node].stretches[place].words[series] += run.words[(series * rows)..<((series + 1) * rows)]
    }
    wordCount += rows * (width + 1)
    newest = max(newest ?? last, last)
    return true
  }

  /// Puts one whole row.
  mutating func put(_ node: NodeID, _ layout: RowLayout, _ tick: Tick, _ row: Span<Int64>) {
    let number = position(of: node)
    let end = nodes[number].stretches.count
    if end > 0, nodes[number].stretches[end - 1].last < tick, nodes[number].stretches[end - 1].layout == layout {
      nodes[number].stretches[end - 1].append(row, tick)
      note(tick, nodes[number].stretches[end - 1].words.count)
      return
    }
    let columns = selection.columns(of: layout)
    let width = columns.reduce(0) { $0 + layout.deviceCount(of: $1) }
    guard width > 0 else { return }
    // The first stretch that does not end before the row.
    let place = nodes[number].stretches.partitioningIndex { $0.last >= tick }
    if place < end {
      let position = nodes[number].stretches[place].ticks.partitioningIndex { $0 >= tick }
      if nodes[number].stretches[place].ticks[position] == tick { return }
      if nodes[number].stretches[place].layout == layout {
        nodes[number].stretches[place].insert(row, tick, at: position)
        return note(tick, width)
      }
      if position > 0 {
        let rest = nodes[number].stretches[place].split(at: position)
        nodes[number].stretches.insert(rest, at: place + 1)
        insert(row, tick, layout, columns, number, place + 1)
        return note(tick, width)
      }
    }
    insert(row, tick, layout, columns, number, place)
    note(tick, width)
  }

  /// Puts a row between two stretches, at the end of the one before where that has its layout.
  private mutating func insert(
    _ row: Span<Int64>, _ tick: Tick, _ layout: RowLayout, _ columns: [Int], _ node: Int, _ place: Int
  ) {
    if place > 0, nodes[node].stretches[place - 1].layout == layout {
      nodes[node].stretches[place - 1].append(row, tick)
      return
    }
    var stretch = Stretch(layout, columns)
    stretch.append(row, tick)
    nodes[node].stretches.insert(stretch, at: place)
  }

  private mutating func note(_ tick: Tick, _ width: Int) {
    wordCount += width + 1
    newest = max(newest ?? tick, tick)
  }

  private mutating func position(of node: NodeID) -> Int {
    if let known = positions[node] { return known }
    if let last = nodes.last, node < last.id { isSorted = false }
    positions[node] = nodes.count
    nodes.append(Node(id: node))
    return nodes.count - 1
  }

  /// Removes all rows before `tick`.
  mutating func removeRows(before tick: Tick) {
    for node in nodes.indices {
      while let first = nodes[node].stretches.first, first.ticks[0] < tick {
        let count = first.ticks.partitioningIndex { $0 >= tick }
        wordCount -= count * (first.words.count + 1)
        if count == first.ticks.count {
          nodes[node].stretches.removeFirst()
        } else {
          nodes[node].stretches[0].removeRows(0..<count)
        }
      }
    }
  }

  // MARK: Reading

  /// Hands the wanted rows to `body`, node by node in the order of names, of each by tick; stops where it answers `false`.
  ///
  /// - Precondition: no other metrics are wanted than the table has.
  func forEachRun(_ selection: RawSelection, _ body: (RawRun) throws -> Bool) rethrows {
    func visit(_ node: Node) throws -> Bool {
      for stretch in node.stretches {
        guard let run = stretch.run(node.id, selection.ticks, selection) else { continue }
        guard try body(run) else { return false }
      }
      return true
    }
    if let wanted = selection.nodes, wanted.count < nodes.count / 4 {
      for id in wanted.sorted() {
        guard let number = positions[id] else { continue }
        guard try visit(nodes[number]) else { return }
      }
      return
    }
    let order = isSorted ? Array(nodes.indices) : nodes.indices.sorted { nodes[$0].id < nodes[$1].id }
    for number in order where selection.nodes?.contains(nodes[number].id) ?? true {
      guard try visit(nodes[number]) else { return }
    }
  }
}
