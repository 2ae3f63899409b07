import BongsuAPI
import BongsuDevices
import BongsuFleet
import BongsuModel
import BongsuReports
import BongsuRollup
import Testing

@testable import bongsu_aggregator

/// Three hours of a few simulated GPUs: every sample that was taken, and what the rollup made of them.
struct SimulatedPast: TierReader, HistorySource {
  static let fleet = """
    version: 1
    nation: test
    name: Testland
    time_zone: Asia/Seoul
    gpu_models:
      - { id: T, gpus_per_node: 2, power_limit: 700 W, idle_power: 80 W, typical_power: 600 W, non_gpu_share: 40 %,
          memory_mib: 1024, sm_clock_mhz: 1000, memory_clock_mhz: 1000 }
    factories:
      - id: north
        name: North
        halls: [{ id: a, in_service: 2020-01-01, model: T, racks: [{ id: r1, nodes: "n[1-3]" }] }]
      - id: south
        halls: [{ id: a, in_service: 2020-01-01, model: T, racks: [{ id: r1, nodes: "s[1-2]" }] }]
    allocations:
      - { path: blue, granted_gpus: 8 }
      - { path: blue/one, members: [{ nodes: [n1, n2, s1] }] }
      - { path: blue/two, members: [{ nodes: n3 }] }
      - { path: green, members: [{ nodes: s2 }] }
    carbon_factors:
      - { from: 2025-01-01, grams_per_kwh: 454.1 }
      - { from: 2026-10-31T22:00, grams_per_kwh: 417.3 }
    """

  /// The last three hours of October 2026 in Korea.
  static let start: Int64 = 1_793_448_000_000
  static let seconds: Int64 = 3 * 3600
  /// No tick closed: the aggregator was away.
  static let away: Range<Int64> = 4000..<4437

  /// One row as it was sampled.
  struct Sample {
    let node: String
    let second: Int64
    let nodeMilliwatts: Int64
    let gpus: [(milliwatts: Int64, permille: Int64, millijoules: Int64)]
  }

  let tree: FleetTree
  let plan: RollupPlan
  var samples: [Sample] = []
  var windows: [RollupLevel: [WindowTable]] = [:]
  var nodeHours: [String: [WindowTable]] = [:]

  init() throws {
    tree = try #require(FleetFile(text: Self.fleet, path: "f.yaml").tree)
    plan = RollupPlan(tree)
    let first = Tick(unixMilliseconds: Self.start + 1000)
    var shard = ShardRollup(plan, first: first, keepsSketches: false)
    var levels = LevelRollup(plan)
    var cascades = RollupLevel.allCases.map { RollupCascade($0) }
    var nodes: [(name: String, node: SimulatedNode, member: MemberNumber, folder: NodeFolder)] = []
    for (position, entry) in tree.nodes.enumerated() {
      var configuration = SimulatedNode.Configuration(
        model: tree.model(of: NodeIndex(position)), seed: UInt64(position + 1), jobSeed: UInt64(position / 2 + 5))
      configuration.hasMeter = true
      let node = SimulatedNode(configuration)
      let layout = try RowLayout(
        interval: .second, columns: node.metrics.compactMap { MetricCatalogue.metric($0) }, devices: node.devices)
      nodes.append(
        (
          entry.id.name, node, shard.join(entry.id, layout: layout),
          NodeFolder(tree, node: NodeIndex(position), layout: layout, length: .hour)
        ))
    }
    for second in 1...Self.seconds {
      let tick = Tick(unixMilliseconds: Self.start + second * 1000)
      let isAway = Self.away.contains(second)
      for index in nodes.indices where !isAway {
        var row = [Int64](repeating: 0, count: nodes[index].node.width)
        var span = row.mutableSpan
        nodes[index].node.fill(tick, interval: .second, into: &span)
        guard shard.add(nodes[index].member, at: tick, row: row.span) == .added else {
          throw StartFailure("row of \(nodes[index].name) at \(second) was not added")
        }
        if let hour = nodes[index].folder.add(row.span, at: tick, isExpected: true) {
          nodeHours[nodes[index].name, default: []].append(hour)
        }
        samples.append(
          Sample(
            node: nodes[index].name, second: second, nodeMilliwatts: row[row.count - 1],
            gpus: (0..<2).map { (row[$0], row[10 + $0], row[8 + $0]) }))
      }
      var frame = LeafFrame(tick: tick)
      shard.close(into: &frame)
      guard !isAway else { continue }
      let closed = levels.close([frame])
      for index in cascades.indices {
        for window in cascades[index].add(closed) { windows[cascades[index].level, default: []].append(window) }
      }
    }
    for index in nodes.indices {
      if let hour = nodes[index].folder.finish() { nodeHours[nodes[index].name, default: []].append(hour) }
    }
  }

  /// Of nodes there are hours only, and all of them.
  func extent(_ level: TierLevel, _ tier: Tier) -> ClosedRange<Tick>? {
    tier == .hour
      ? Tick(unixMilliseconds: Self.start + 3_600_000)...Tick(unixMilliseconds: Self.start + 3 * 3_600_000) : nil
  }

  func visit(_ question: TierQuestion, _ body: (TierGroup, TierCourse) throws -> Bool) throws {
    func course(_ windows: [WindowTable], _ group: Int) -> TierCourse {
      var course = TierCourse(series: question.series.count)
      for window in windows where question.range.contains(window.end) {
        course.ends.append(window.end.unixMilliseconds)
        for (index, series) in question.series.enumerated() {
          course.values[index].append(series.value(window, group) ?? .nan)
        }
      }
      return course
    }
    switch question.level {
    case .node:
      for (position, node) in tree.nodes.enumerated() {
        let allocation = tree[tree.allocation(of: NodeIndex(position), at: question.range.upperBound)].path
        let factory = node.id.name.hasPrefix("n") ? "north" : "south"
        let labels = [("factory", factory), ("node", node.id.name), ("allocation", allocation)]
          .map { (name: $0.0, value: $0.1) }
        guard question.includes(labels) else { continue }
        guard
          try body(
            TierGroup(level: .node, labels: labels),
            course((nodeHours[node.id.name] ?? []).filter { $0.length == question.tier.window }, 0))
        else { return }
      }
    case .rollup(let level):
      let windows = (windows[level] ?? []).filter { $0.length == question.tier.window }
      for group in 0..<plan.groupCount(level) where question.includes(plan.labels(level, group)) {
        guard
          try body(
            TierGroup(level: question.level, labels: plan.labels(level, group)), course(windows, group))
        else { return }
      }
    }
  }

  func storage() async throws -> StorageReport { StorageReport(parts: []) }

  func ledger(_ request: LedgerRequest, within scope: AccessScope) async throws -> LedgerReport {
    let level = request.factory == nil ? RollupLevel.allocation : .factoryAllocation
    let entries = (windows[level] ?? []).filter { $0.length == .hour }.flatMap { window in
      (0..<plan.groupCount(level)).compactMap { entry($0, level, window, request) }
    }
    return LedgerReport(entries: entries)
  }

  private func entry(_ group: Int, _ level: RollupLevel, _ window: WindowTable, _ request: LedgerRequest)
    -> LedgerEntry?
  {
    let labels = Dictionary(
      plan.labels(level, group).map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
    guard request.factory == labels["factory"], request.allocation ?? labels["allocation"] == labels["allocation"]
    else { return nil }
    func hours(_ field: RolledField) -> Double { Double(window.field(field, group).sum) / 3600 }
    return LedgerEntry(
      allocation: labels["allocation"] ?? "", depth: labels["allocation"]?.contains("/") == true ? 2 : 1,
      factory: labels["factory"], startUnixMilliseconds: window.end.unixMilliseconds - 3_600_000,
      endUnixMilliseconds: window.end.unixMilliseconds,
      grantedGPUHours: labels["allocation"] == "blue" && request.factory == nil ? 8 : nil,
      expectedGPUHours: hours(.expectedGPUs), reportingGPUHours: hours(.reportingGPUs), busyGPUHours: hours(.busyGPUs),
      idleGPUHours: hours(.reportingGPUs) - hours(.busyGPUs),
      energyJoules: Double(window.field(.gpuEnergy, group).sum) / 1000, meanWatts: nil, peakWatts: nil,
      stored: Double(window.ticks) / 3600)
  }

  func answers(now: String = "2026-11-15T00:00:00Z") throws -> UsageAnswers {
    let present = try #require(TimeText.unixMilliseconds(now))
    return UsageAnswers(tree: tree, tiers: self, ledger: self, signer: ReportSigner(), now: { present })
  }
}
