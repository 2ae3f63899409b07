public import BongsuModel

/// Which raw rows are wanted, and which of their columns.
public struct RawSelection: Sendable {
  /// First and last tick, both included.
  public var ticks: ClosedRange<Tick>
  /// The nodes; `nil`: all that have rows.
  public var nodes: Set<NodeID>?
  /// The metrics, by their numbers; `nil`: all that a node sends.
  public var metrics: Set<MetricID>?
  /// In which order nodes come.
  public var order = Order.names
  /// Only where rows lie is asked for: runs have no columns, and of a chunk the first and the last tick.
  var skipsValues = false

  public init(ticks: ClosedRange<Tick>, nodes: Set<NodeID>? = nil, metrics: Set<MetricID>? = nil) {
    self.ticks = ticks
    self.nodes = nodes
    self.metrics = metrics
  }

  /// Orders of nodes.
  public enum Order: Sendable {
    /// By name.
    case names
    /// Nodes by name, each right after its machine's controller, `NODE.bmc`, so that whoever folds a node knows already
    /// what its controller said.
    case controllersFirst
  }

  /// Names in the wanted order.
  func sorted(_ names: some Sequence<NodeID>) -> [NodeID] {
    guard order == .controllersFirst else { return names.sorted() }
    // Strictly ascending: the name itself parts what is alike otherwise.
    return names.map { (place: place(of: $0), isNode: $0.controlled == nil ? 1 : 0, name: $0) }
      .sorted { ($0.place, $0.isNode, $0.name) < ($1.place, $1.isNode, $1.name) }.map(\.name)
  }

  /// The name by which a node is sorted first. Where names are divided, they are divided by it.
  func place(of node: NodeID) -> NodeID { order == .controllersFirst ? node.controlled ?? node : node }

  /// Numbers of the columns of `layout` that are wanted, ascending.
  func columns(of layout: RowLayout) -> [Int] {
    if skipsValues { return [] }
    return layout.columns.indices.filter { column in metrics.map { $0.contains(layout.columns[column].id) } ?? true }
  }
}

/// Consecutive stored rows of one node that share a layout, oldest first, turned into series.
///
///     ticks      t0 t1 t2 …
///     words      column a device 0: v0 v1 v2 … | column a device 1: v0 v1 v2 … | column b device 0: …
public struct RawRun: Sendable {
  public let node: NodeID
  /// The whole layout of the rows, also where fewer columns were asked for.
  public let layout: RowLayout
  /// Numbers of the layout's columns that the run holds, ascending.
  public let columns: [Int]
  /// Strictly ascending.
  public let ticks: [Tick]
  let words: [Int64]

  /// A run that something else than the history has made.
  ///
  /// - Precondition: as many words as the columns' devices and ticks say.
  public init(node: NodeID, layout: RowLayout, columns: [Int], ticks: [Tick], words: [Int64]) {
    precondition(
      words.count == ticks.count * columns.reduce(0) { $0 + layout.deviceCount(of: $1) }, "words of a run")
    self.node = node
    self.layout = layout
    self.columns = columns
    self.ticks = ticks
    self.words = words
  }

  /// The readings of one device over all ticks of the run, as ``BongsuModel/SampleValue`` bits: `Int64.min` is absence.
  ///
  /// - Parameters:
  ///   - column: a number out of ``columns``.
  ///   - device: which device of the column's scope, in the order of `layout.devices(in:)`.
  /// - Complexity: O(columns).
  public func series(column: Int, device: Int) -> ArraySlice<Int64> {
    var start = 0
    for candidate in columns {
      let count = layout.deviceCount(of: candidate)
      if candidate == column {
        precondition(device >= 0 && device < count, "device \(device) of \(count)")
        let first = (start + device) * ticks.count
        return words[first..<(first + ticks.count)]
      }
      start += count
    }
    preconditionFailure("column \(column) is not in the run")
  }

  /// The part of the run whose ticks lie in `range`; `nil` when there is none.
  func clipped(to range: ClosedRange<Tick>) -> RawRun? {
    let first = ticks.partitioningIndex { $0 >= range.lowerBound }
    let end = ticks.partitioningIndex { $0 > range.upperBound }
    guard first < end else { return nil }
    if first == 0, end == ticks.count { return self }
    var kept: [Int64] = []
    kept.reserveCapacity(words.count / ticks.count * (end - first))
    for start in stride(from: 0, to: words.count, by: ticks.count) { kept += words[(start + first)..<(start + end)] }
    return RawRun(node: node, layout: layout, columns: columns, ticks: Array(ticks[first..<end]), words: kept)
  }
}

extension Array {
  /// The first index whose element satisfies `belongs`, which holds for none before and for all behind it.
  func partitioningIndex(where belongs: (Element) -> Bool) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if belongs(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
