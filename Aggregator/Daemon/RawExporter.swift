import BongsuAPI
import BongsuFleet
import BongsuModel
import BongsuReports
import BongsuStore
import Logging

/// Exports raw samples, exact and with the labels that PromQL knows them by.
///
/// Rows lie by node, an export goes by series. So it is looked up first which nodes have which metrics, and then each
/// metric is read for as many nodes at a time as fit into memory.
struct RawExporter: ExportSource {
  let history: RawHistory
  let labels: SeriesLabels
  let logger: Logger

  /// Samples held at once, 16 bytes each.
  private static let batchSamplesMax = 4 << 20
  /// Samples handed over in one run.
  private static let runSamplesMax = 8192

  func export(_ request: ExportRequest, to body: (ExportedSeries) async throws -> Void) async throws {
    let wanted = try ExportSelection(request, labels)
    let (batches, losses) = try await IngestService.onThread("export") { try plan(wanted) }
    for line in losses.damage { logger.warning("export: \(line)") }
    if losses.undecodedRows > 0 { logger.warning("export: \(losses.undecodedRows) rows cannot be decoded") }
    for batch in batches {
      let series = try await IngestService.onThread("export") { try collect(batch, wanted) }
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
    let name: String
    let metrics: Set<MetricID>
    let nodes: Set<NodeID>
  }

  private func plan(_ wanted: ExportSelection) throws -> (batches: [Batch], losses: RawLosses) {
    struct Wanted {
      var metrics: Set<MetricID> = []
      var samples: [NodeID: Int] = [:]
    }
    let (inventory, losses) = try reading { try history.inventory(RawSelection(ticks: wanted.ticks)) }
    var names: [String: Wanted] = [:]
    for entry in inventory where wanted.includes(entry.node) {
      let span = entry.ticks.upperBound.unixMilliseconds - entry.ticks.lowerBound.unixMilliseconds
      let rows = Int(span / Int64(entry.layout.interval.milliseconds)) + 1
      for (column, metric) in entry.layout.columns.enumerated() where wanted.selectors.canInclude(name: metric.name) {
        names[metric.name, default: Wanted()].metrics.insert(metric.id)
        names[metric.name]?.samples[entry.node, default: 0] += rows * entry.layout.deviceCount(of: column)
      }
    }
    var batches: [Batch] = []
    for (name, entry) in names.sorted(by: { $0.key < $1.key }) {
      var nodes: Set<NodeID> = []
      var samples = 0
      for (node, count) in entry.samples.sorted(by: { $0.key < $1.key }) {
        if samples + count > Self.batchSamplesMax, !nodes.isEmpty {
          batches.append(Batch(name: name, metrics: entry.metrics, nodes: nodes))
          nodes = []
          samples = 0
        }
        nodes.insert(node)
        samples += count
      }
      batches.append(Batch(name: name, metrics: entry.metrics, nodes: nodes))
    }
    return (batches, losses)
  }

  private struct Key: Hashable {
    let node: NodeID
    let device: Device
    let allocation: AllocationIndex?
  }

  private func collect(_ batch: Batch, _ wanted: ExportSelection) throws -> [ExportedSeries] {
    var found: [Key: [ExportedSeries.Sample]] = [:]
    var kind = ExportedSeries.Kind.gauge
    let selection = RawSelection(ticks: wanted.ticks, nodes: batch.nodes, metrics: batch.metrics)
    _ = try reading {
      try history.forEachRun(selection) { run in
        for column in run.columns where run.layout.columns[column].name == batch.name {
          let metric = run.layout.columns[column]
          if metric.kind == .counter { kind = .counter }
          for (number, device) in run.layout.devices(in: metric.scope).enumerated() {
            for (tick, bits) in zip(run.ticks, run.series(column: column, device: number)) {
              guard let reading = SampleValue(bits: bits).reading else { continue }
              let key = Key(node: run.node, device: device, allocation: labels.allocation(of: run.node, at: tick))
              found[key, default: []].append(
                ExportedSeries.Sample(unixMilliseconds: tick.unixMilliseconds, value: metric.unit.exposed(reading)))
            }
          }
        }
        return true
      }
    }
    let series = found.compactMap { key, samples -> ExportedSeries? in
      let all = labels.labels(of: key.node, key.device, key.allocation)
      guard wanted.selectors.includes(name: batch.name, all) else { return nil }
      return ExportedSeries(name: batch.name, kind: kind, labels: all, samples: samples)
    }
    // Batches follow each other by node, so that a series is never in two pieces.
    return series.sorted {
      $0.labels.lexicographicallyPrecedes($1.labels) { ($0.name, $0.value) < ($1.name, $1.value) }
    }
  }

  private func reading<Result>(_ body: () throws -> Result) throws -> Result {
    do { return try body() } catch StoreError.notOpen {
      throw APIError(.notReady, "the journals are not open", nextStep: "wait until the aggregator is ready")
    }
  }
}

/// What an export wants.
private struct ExportSelection: Sendable {
  let selectors: ExportSelectors
  /// Nodes and ticks that can be among it.
  let includes: @Sendable (NodeID) -> Bool
  let ticks: ClosedRange<Tick>

  /// - Throws: ``APIError`` for a selector that cannot be read.
  init(_ request: ExportRequest, _ labels: SeriesLabels) throws {
    let selectors = try ExportSelectors(request.matchers)
    self.selectors = selectors
    let range = Limits.tickRange
    let first = Tick(unixMilliseconds: max(range.lowerBound.unixMilliseconds, request.startUnixMilliseconds))
    let last = Tick(unixMilliseconds: min(range.upperBound.unixMilliseconds, request.endUnixMilliseconds))
    ticks = min(first, last)...last
    includes = { node in selectors.canInclude(labels.place(of: node)) }
  }
}

/// The labels of raw series: where a node stands, which device it is, and whose it was at the time.
struct SeriesLabels: Sendable {
  let tree: FleetTree

  /// The allocation that a node belonged to at a tick; `nil` for the source of a meter.
  func allocation(of node: NodeID, at tick: Tick) -> AllocationIndex? {
    guard !tree.standsNowhere(node) else { return nil }
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
    (shared(of: node, allocation) + own(of: device)).sorted { $0.name < $1.name }
  }

  /// The labels that all series of a node have; those without a value are left out.
  func shared(of node: NodeID, _ allocation: AllocationIndex?) -> [(name: String, value: String)] {
    var all = place(of: node)
    all["allocation"] = allocation.map { tree[$0].path }
    return all.filter { !$0.value.isEmpty }.map { ($0.key, $0.value) }
  }

  /// The labels that tell a node's devices apart: no others than ``ofDevices``. Those without a value are left out.
  func own(of device: Device) -> [(name: String, value: String)] {
    let all: [(name: String, value: String)] =
      switch device.scope {
      case .node: []
      case .gpu: [("gpu", String(device.index)), ("model", device.model), ("uuid", device.key)]
      case .module: [("module", String(device.index))]
      }
    return all.filter { !$0.value.isEmpty }
  }

  /// Labels in which the devices of a node may differ.
  static let ofDevices = ["gpu", "model", "module", "uuid"]
}
