import BongsuAPI
import BongsuFleet
import BongsuIngest
import BongsuModel
import BongsuReports
import BongsuStore
import Logging

/// Exports raw samples out of the journals, exact and with the labels that PromQL knows them by.
///
/// Journals lie in the order of arrival, an export in the order of series. So they are read once to count what each
/// metric has of each node, and then once for each batch of series that fits into memory.
struct RawExporter: ExportSource {
  let engine: IngestEngine
  let store: DataKeeper
  let labels: SeriesLabels
  let logger: Logger

  /// Samples held at once, 16 bytes each.
  private static let batchSamplesMax = 4 << 20
  /// Samples handed over in one run.
  private static let runSamplesMax = 8192

  func export(_ request: ExportRequest, to body: (ExportedSeries) async throws -> Void) async throws {
    let selection = try ExportSelection(request, labels)
    let (batches, losses) = try await read { exporter, through in
      try exporter.plan(selection, through: through)
    }
    for line in losses.damage { logger.warning("export: \(line)") }
    if losses.undecodedRows > 0 { logger.warning("export: \(losses.undecodedRows) rows cannot be decoded") }
    for batch in batches {
      let series = try await read { exporter, through in
        try exporter.collect(batch, selection, through: through)
      }
      for one in series {
        for start in stride(from: 0, to: one.samples.count, by: Self.runSamplesMax) {
          var run = one
          run.samples = Array(one.samples[start..<min(start + Self.runSamplesMax, one.samples.count)])
          try await body(run)
        }
      }
    }
  }

  /// Series of one name that are collected together.
  private struct Batch: Sendable {
    let metric: Metric
    let nodes: Set<NodeID>
  }

  /// Reads on a thread of its own, with no journal trimmed meanwhile.
  private func read<Result: Sendable>(
    _ body: @escaping @Sendable (RawExporter, [UInt64]) throws -> Result
  ) async throws -> Result {
    try await IngestService.onThread("export") {
      guard let result = try engine.readingJournals({ committed in try body(self, committed) }) else {
        throw APIError(.notReady, "the journals are not open", nextStep: "wait until the aggregator is ready")
      }
      return result
    }
  }

  private func plan(_ selection: ExportSelection, through: [UInt64]) throws -> (batches: [Batch], losses: RawLosses) {
    var counts: [String: (metric: Metric, nodes: [NodeID: Int])] = [:]
    let losses = try store.rawExport().forEachRow(selection.filter, through: through) { node, layout, _, row in
      for (column, metric) in layout.columns.enumerated() where selection.selectors.canInclude(name: metric.name) {
        var present = 0
        for position in layout.range(of: column) where row[position] != SampleValue.absent.bits { present += 1 }
        guard present > 0 else { continue }
        counts[metric.name, default: (metric, [:])].nodes[node, default: 0] += present
      }
      return true
    }
    var batches: [Batch] = []
    for (_, entry) in counts.sorted(by: { $0.key < $1.key }) {
      var nodes: Set<NodeID> = []
      var samples = 0
      for (node, count) in entry.nodes.sorted(by: { $0.key < $1.key }) {
        if samples + count > Self.batchSamplesMax, !nodes.isEmpty {
          batches.append(Batch(metric: entry.metric, nodes: nodes))
          nodes = []
          samples = 0
        }
        nodes.insert(node)
        samples += count
      }
      batches.append(Batch(metric: entry.metric, nodes: nodes))
    }
    return (batches, losses)
  }

  private struct Key: Hashable {
    let node: NodeID
    let device: Device
    let allocation: AllocationIndex?
  }

  private func collect(_ batch: Batch, _ selection: ExportSelection, through: [UInt64]) throws -> [ExportedSeries] {
    var found: [Key: [ExportedSeries.Sample]] = [:]
    var filter = selection.filter
    filter.includes = { batch.nodes.contains($0) }
    _ = try store.rawExport().forEachRow(filter, through: through) { node, layout, tick, row in
      guard let column = layout.columns.firstIndex(where: { $0.name == batch.metric.name }) else { return true }
      let metric = layout.columns[column]
      let allocation = labels.allocation(of: node, at: tick)
      for (position, device) in zip(layout.range(of: column), layout.devices(in: metric.scope)) {
        guard let reading = SampleValue(bits: row[position]).reading else { continue }
        found[Key(node: node, device: device, allocation: allocation), default: []].append(
          ExportedSeries.Sample(unixMilliseconds: tick.unixMilliseconds, value: metric.unit.exposed(reading)))
      }
      return true
    }
    let kind: ExportedSeries.Kind = batch.metric.kind == .counter ? .counter : .gauge
    let series = found.compactMap { key, samples -> ExportedSeries? in
      let all = labels.labels(of: key.node, key.device, key.allocation)
      guard selection.selectors.includes(name: batch.metric.name, all) else { return nil }
      return ExportedSeries(
        name: batch.metric.name, kind: kind, labels: all,
        samples: samples.sorted { $0.unixMilliseconds < $1.unixMilliseconds })
    }
    // Batches follow each other by node, so that a series is never in two pieces.
    return series.sorted {
      $0.labels.lexicographicallyPrecedes($1.labels) { ($0.name, $0.value) < ($1.name, $1.value) }
    }
  }
}

/// What an export wants.
private struct ExportSelection: Sendable {
  let selectors: ExportSelectors
  /// Nodes and ticks that can be among it.
  let filter: RawFilter

  /// - Throws: ``APIError`` for a selector that cannot be read.
  init(_ request: ExportRequest, _ labels: SeriesLabels) throws {
    let selectors = try ExportSelectors(request.matchers)
    self.selectors = selectors
    let range = Limits.tickRange
    let first = Tick(unixMilliseconds: max(range.lowerBound.unixMilliseconds, request.startUnixMilliseconds))
    let last = Tick(unixMilliseconds: min(range.upperBound.unixMilliseconds, request.endUnixMilliseconds))
    filter = RawFilter(ticks: min(first, last)...last) { node in selectors.canInclude(labels.place(of: node)) }
  }
}

/// The labels of raw series: where a node stands, which device it is, and whose it was at the time.
struct SeriesLabels: Sendable {
  let tree: FleetTree

  /// The allocation that a node belonged to at a tick; `nil` for the source of a meter.
  func allocation(of node: NodeID, at tick: Tick) -> AllocationIndex? {
    guard tree.meter(readBy: node) == nil else { return nil }
    return tree.node(node).map { tree.allocation(of: $0, at: tick) } ?? tree.unassignedAllocation
  }

  /// Nation, factory, hall, rack and node: the labels that a node has at any time. The source of a meter stands nowhere.
  func place(of node: NodeID) -> [String: String] {
    let place = NodePlace(node, tree, at: nil)
    return [
      "nation": tree.nation, "node": node.name, "factory": place.map { tree[$0.factory].id } ?? "",
      "hall": place.map { tree[$0.hall].id } ?? "", "rack": place.map { tree[$0.rack].id } ?? "",
    ]
  }

  /// All labels of one device's series, in order of names; those without a value are left out.
  func labels(
    of node: NodeID, _ device: Device, _ allocation: AllocationIndex?
  ) -> [(name: String, value: String)] {
    var all = place(of: node)
    all["allocation"] = allocation.map { tree[$0].path }
    switch device.scope {
    case .node: break
    case .gpu:
      all["gpu"] = String(device.index)
      all["uuid"] = device.key
      all["model"] = device.model
    case .module: all["module"] = String(device.index)
    }
    return all.filter { !$0.value.isEmpty }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }
}
