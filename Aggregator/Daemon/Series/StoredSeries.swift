import BongsuFleet
import BongsuModel
import BongsuSeries
import BongsuStore
import Synchronization

/// Stored rows as series, journal and chunks as one.
///
/// Thread rule: any thread, several at once; blocks while it reads.
struct StoredSeries: Sendable {
  let history: RawHistory
  let tree: FleetTree
  private let labels: StoredLabels

  /// Nodes from which on more are read than are wanted: these are other ones at every question, and what is read the same
  /// way every time is kept in memory.
  private static let singledOutMax = 64

  /// Samples held for one node at a time: a day of all metrics of eight GPUs at one second.
  private static let samplesPerNodeMax = 20_000_000

  init(history: RawHistory, tree: FleetTree) {
    self.history = history
    self.tree = tree
    labels = StoredLabels(SeriesLabels(tree: tree))
  }

  /// Visits matching series with their samples in the span, node by node.
  ///
  /// - Parameter only: leaves out all other nodes; `nil` is no bound.
  func visit(
    _ selection: SeriesSelection, _ filter: SeriesFilter, from start: Int64, only: Set<NodeID>? = nil,
    _ visit: (LabelSet, SampleBuffer) throws -> Void
  ) throws {
    var nodes = LiveNodeFilter(filter, tree)
    guard let ticks = Self.ticks(start, selection.endMilliseconds) else { return }
    let isSingledOut = only.map { $0.count < Self.singledOutMax } ?? true
    let wanted = nodes.candidates(only: isSingledOut ? only : nil)
    if case .none = wanted { return }
    let raw = RawSelection(ticks: ticks, nodes: wanted.names, metrics: Self.metrics(filter))
    var builder = NodeSeriesBuilder()
    var current: NodeID?
    func flush() throws {
      builder.finish(at: selection.endMilliseconds)
      for index in builder.sets.indices where !builder.buffers[index].isEmpty {
        try visit(builder.sets[index], builder.buffers[index])
      }
      builder = NodeSeriesBuilder()
    }
    try reading(selection.annotations) {
      try history.forEachRun(raw) { run in
        if let only, !isSingledOut, !only.contains(run.node) { return true }
        if current != run.node {
          try flush()
          current = run.node
        }
        var first = 0
        while first < run.ticks.count {
          let known = labels.labels(run.node, run.layout, at: run.ticks[first])
          var end = first + 1
          if known.until > run.ticks[run.ticks.count - 1] {
            end = run.ticks.count
          } else {
            while end < run.ticks.count, run.ticks[end] < known.until { end += 1 }
          }
          if nodes.includes(known) {
            builder.add(
              run, first..<end, known, wantsColumn: { nodes.includes($0) }, wantsDevice: nodes.includes(device:))
          }
          first = end
        }
        guard builder.sampleCount <= Self.samplesPerNodeMax else {
          throw SeriesSourceError.tooLarge(
            "more than \(Self.samplesPerNodeMax) samples of one node would be held; ask for fewer metrics or less time")
        }
        return true
      }
    }
    try flush()
  }

  /// Visits the label sets of matching series that have a row in the span. Whether each had a value is not looked at.
  func visitLabelSets(_ filter: SeriesFilter, _ span: TimeSpan, _ visit: (LabelSet) throws -> Void) throws {
    var nodes = LiveNodeFilter(filter, tree)
    guard let ticks = Self.ticks(span.lowerBound, span.upperBound) else { return }
    let wanted = nodes.candidates(only: nil)
    if case .none = wanted { return }
    let found = try open {
      try history.inventory(RawSelection(ticks: ticks, nodes: wanted.names, metrics: Self.metrics(filter))).found
    }
    for entry in found {
      var tick = entry.ticks.lowerBound
      while tick <= entry.ticks.upperBound {
        let known = labels.labels(entry.node, entry.layout, at: tick)
        if nodes.includes(known) {
          for metric in entry.layout.columns where nodes.includes(metric) {
            for set in known.devices(metric.scope) where nodes.includes(device: set) {
              try visit(set.named(metric.name))
            }
          }
        }
        guard known.until <= entry.ticks.upperBound else { break }
        tick = known.until
      }
    }
  }

  private func reading(_ annotations: SeriesAnnotations?, _ body: () throws -> RawLosses) throws {
    let losses = try open(body)
    for line in losses.damage { annotations?.addWarning("stored samples are damaged: \(line)") }
    if losses.undecodedRows > 0 {
      annotations?.addWarning("\(losses.undecodedRows) stored rows cannot be decoded and are left out")
    }
  }

  private func open<Result>(_ body: () throws -> Result) throws -> Result {
    do { return try body() } catch StoreError.notOpen {
      throw SeriesSourceError.unavailable("the journals are not open yet; ask again when /-/ready says so")
    }
  }

  /// The ticks of a span, within what ticks can be.
  private static func ticks(_ start: Int64, _ end: Int64) -> ClosedRange<Tick>? {
    let range = Limits.tickRange
    let first = max(range.lowerBound.unixMilliseconds, start)
    let last = min(range.upperBound.unixMilliseconds, end)
    return first <= last ? Tick(unixMilliseconds: first)...Tick(unixMilliseconds: last) : nil
  }

  /// The numbers of the metrics that a selector means; `nil` when it may mean one that the catalogue does not have.
  private static func metrics(_ filter: SeriesFilter) -> Set<MetricID>? {
    guard let names = filter.exactNames else { return nil }
    let known = names.filter { filter.includes(name: $0) }.map { MetricCatalogue.metric(named: $0)?.id }
    return known.contains(nil) ? nil : Set(known.compactMap(\.self))
  }
}

/// Labels of stored rows, kept from one question to the next: as good as all nodes keep their layout for weeks.
private final class StoredLabels: Sendable {
  private let labels: SeriesLabels
  private let known = Mutex<[NodeID: LiveNodeLabels]>([:])

  init(_ labels: SeriesLabels) {
    self.labels = labels
  }

  func labels(_ node: NodeID, _ layout: RowLayout, at tick: Tick) -> LiveNodeLabels {
    if let found = known.withLock({ $0[node] }), found.from <= tick, tick < found.until, found.layout == layout {
      return found
    }
    let made = LiveNodeLabels(node, layout, version: 0, at: tick, labels)
    known.withLock { $0[node] = made }
    return made
  }
}

extension LiveNodeFilter {
  /// Which nodes a selector can mean.
  enum Candidates {
    case none
    case these(Set<NodeID>)
    /// They cannot be listed: nodes that no fleet file names may have any name.
    case any

    /// As a selection of raw rows wants them.
    var names: Set<NodeID>? {
      switch self {
      case .none: []
      case .these(let names): names
      case .any: nil
      }
    }
  }

  mutating func candidates(only: Set<NodeID>?) -> Candidates {
    if let exact = filter.matchers.lazy.filter({ $0.name == "node" }).compactMap(\.exactValues).first {
      let names = Set(exact.compactMap { NodeID($0) }).filter { only?.contains($0) ?? true }
      return names.isEmpty ? .none : .these(names)
    }
    if let only { return only.isEmpty ? .none : .these(only) }
    guard !mayMeanUnassigned() else { return .any }
    var names: Set<NodeID> = []
    for (position, node) in tree.nodes.enumerated() where mayStand(in: tree.rack(of: NodeIndex(position))) {
      names.insert(node.id)
    }
    return names.isEmpty ? .none : .these(names)
  }
}
