import BongsuAPI
import BongsuDevices
import BongsuFleet
import BongsuModel
import BongsuReports
import BongsuRollup
import BongsuTestKit
import Testing

@testable import bongsu_aggregator

/// Accounts of simulated GPUs, made up of real rollups, against the sum of every single sample.
@Suite("accounts of a month")
struct UsageAnswersTests {
  private static let fleet = """
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
  private static let start: Int64 = 1_793_448_000_000
  private static let seconds: Int64 = 3 * 3600
  /// No tick closed: the aggregator was away.
  private static let away: Range<Int64> = 4000..<4437

  /// One row as it was sampled.
  private struct Sample {
    let node: String
    let second: Int64
    let nodeMilliwatts: Int64
    let gpus: [(milliwatts: Int64, permille: Int64, millijoules: Int64)]
  }

  /// What three hours left behind: every sample, and the windows of the rollup.
  private struct Past: TierReader, HistorySource {
    let tree: FleetTree
    let plan: RollupPlan
    var samples: [Sample] = []
    var windows: [RollupLevel: [WindowTable]] = [:]
    var nodeHours: [String: [WindowTable]] = [:]

    init() throws {
      tree = try #require(FleetFile(text: UsageAnswersTests.fleet, path: "f.yaml").tree)
      plan = RollupPlan(tree)
      let first = Tick(unixMilliseconds: UsageAnswersTests.start + 1000)
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
      for second in 1...UsageAnswersTests.seconds {
        let tick = Tick(unixMilliseconds: UsageAnswersTests.start + second * 1000)
        let isAway = UsageAnswersTests.away.contains(second)
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

    func extent(_ level: TierLevel, _ tier: Tier) -> ClosedRange<Tick>? { nil }

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
            try body(TierGroup(level: .node, labels: labels), course(nodeHours[node.id.name] ?? [], 0))
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
        (0..<plan.groupCount(level)).compactMap { group -> LedgerEntry? in
          let labels = Dictionary(
            plan.labels(level, group).map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
          guard request.factory == labels["factory"], request.allocation ?? labels["allocation"] == labels["allocation"]
          else { return nil }
          func hours(_ field: RolledField) -> Double { Double(window.field(field, group).sum) / 3600 }
          let granted = labels["allocation"] == "blue" && request.factory == nil ? 8.0 : nil
          return LedgerEntry(
            allocation: labels["allocation"] ?? "", depth: labels["allocation"]?.contains("/") == true ? 2 : 1,
            factory: labels["factory"], startUnixMilliseconds: window.end.unixMilliseconds - 3_600_000,
            endUnixMilliseconds: window.end.unixMilliseconds, grantedGPUHours: granted,
            expectedGPUHours: hours(.expectedGPUs), reportingGPUHours: hours(.reportingGPUs),
            busyGPUHours: hours(.busyGPUs), idleGPUHours: hours(.reportingGPUs) - hours(.busyGPUs),
            energyJoules: Double(window.field(.gpuEnergy, group).sum) / 1000, meanWatts: nil, peakWatts: nil,
            stored: Double(window.ticks) / 3600)
        }
      }
      return LedgerReport(entries: entries)
    }

    func answers(now: String = "2026-11-15T00:00:00Z") throws -> UsageAnswers {
      let present = try #require(TimeText.unixMilliseconds(now))
      return UsageAnswers(tree: tree, tiers: self, ledger: self, signer: ReportSigner(), now: { present })
    }
  }

  private static let past = Result { try Past() }

  private func close(_ left: Double?, _ right: Double?) -> Bool {
    guard let left, let right else { return left == nil && right == nil }
    return abs(left - right) <= 1e-9 * max(1, abs(left), abs(right))
  }

  @Test(
    "every figure equals the one added up from raw samples",
    arguments: [
      (UsageSubject(.allocation, "blue"), ["n1", "n2", "n3", "s1"]),
      (UsageSubject(.allocation, "blue/one"), ["n1", "n2", "s1"]),
      (UsageSubject(.allocation, "green"), ["s2"]),
      (UsageSubject(.factory, "north", name: "North"), ["n1", "n2", "n3"]),
      (UsageSubject(.factory, "south"), ["s1", "s2"]),
    ])
  func bruteForce(subject: UsageSubject, nodes: [String]) async throws {
    let past = try Self.past.get()
    let signed = try await past.answers().report(
      UsageReportRequest(subject.kind, subject.id, month: ReportMonth("2026-10")), within: .unlimited)
    let (report, account) = (signed.report, signed.report.account)
    let samples = past.samples.filter { nodes.contains($0.node) }
    let gpus = samples.flatMap(\.gpus)

    #expect(report.subject.id == subject.id && report.month == "2026-10" && report.isWholeMonth)
    #expect(close(account.reportingGPUHours, Double(gpus.count) / 3600))
    #expect(close(account.expectedGPUHours, Double(gpus.count) / 3600))
    #expect(close(account.busyGPUHours, Double(gpus.count { $0.permille >= 50 }) / 3600))
    #expect(account.busyGPUHours > 0 && (subject.id != "blue" || account.idleGPUHours > 0), "the simulation did both")
    #expect(account.grantedGPUHours == (subject.id == "blue" ? 24 : nil))
    // The aggregator was away, counters went on: energy of that time is in the first sample after it.
    var joules: [Double] = [0, 0, 0]
    for node in nodes {
      for gpu in 0..<2 {
        var last: Int64?
        for sample in samples where sample.node == node {
          if let last { joules[Int((sample.second - 1) / 3600)] += Double(sample.gpus[gpu].millijoules - last) / 1000 }
          // Before the first there is none to subtract: its own power counts for its second.
          if last == nil { joules[0] += Double(sample.gpus[gpu].milliwatts) / 1000 }
          last = sample.gpus[gpu].millijoules
        }
      }
    }
    #expect(abs(account.energyJoules - joules.reduce(0, +)) <= 1e-3 * account.energyJoules + 2000)
    // 2026-10-31T22:00 in Korea is an hour after the beginning.
    let megawattHours = account.energyJoules / 3.6e9
    let carbon = try #require(account.carbonTonnes)
    #expect(carbon > megawattHours * 0.4173 && carbon < megawattHours * 0.4541)
    #expect(report.carbonFactors.map(\.tonnesPerMegawattHour) == [0.4541, 0.4173])

    // Means of each minute's known seconds, and of each quarter's known minutes.
    var minutes: [Int64: (watts: Double, seconds: Set<Int64>, permille: Double, gpus: Double)] = [:]
    for sample in samples {
      var minute = minutes[(sample.second - 1) / 60] ?? (0, [], 0, 0)
      minute.watts += Double(sample.nodeMilliwatts) / 1000
      minute.seconds.insert(sample.second)
      minute.permille += Double(sample.gpus.reduce(0) { $0 + $1.permille })
      minute.gpus += 2
      minutes[(sample.second - 1) / 60] = minute
    }
    let watts = minutes.mapValues { $0.watts / Double($0.seconds.count) }
    #expect(account.knownMinutes == minutes.count && account.knownMinutes == 180 - 6)
    #expect(
      close(account.meanWatts, watts.sorted { $0.key < $1.key }.reduce(0) { $0 + $1.value } / Double(watts.count)))
    let quarters = Dictionary(grouping: watts, by: { $0.key / 15 }).mapValues { minutes in
      minutes.sorted { $0.key < $1.key }.reduce(0) { $0 + $1.value } / Double(minutes.count)
    }
    let peak = try #require(quarters.max { ($0.value, $1.key) < ($1.value, $0.key) })
    #expect(close(account.peak?.watts, peak.value))
    #expect(account.peak?.startUnixMilliseconds == Self.start + peak.key * 900_000)
    #expect(account.estimatedShare == 0 && account.peak?.estimatedWatts == 0)
    let shares = minutes.values.map { $0.permille / $0.gpus / 1000 }.sorted()
    #expect(close(account.utilizationMean, shares.reduce(0, +) / Double(shares.count)))
    #expect(close(account.utilizationMedian, shares[(shares.count + 1) / 2 - 1]))
    #expect(close(account.utilization95, shares[Int((0.95 * Double(shares.count)).rounded(.up)) - 1]))
    // Of the whole month three hours are stored but for the seconds away.
    #expect(close(account.stored, (3 - 437.0 / 3600) / 744))
    #expect(account.coverage == 1)
    try signed.check(signedBy: try ownKey(signed))
  }

  private func ownKey(_ signed: SignedReport) throws -> ReportKey {
    try #require(ReportKey(signed.signature.key))
  }

  @Test("nodes are listed by what their GPUs drew idle, hour by hour")
  func idleNodes() async throws {
    let past = try Self.past.get()
    let report = try await past.answers().report(
      UsageReportRequest(.allocation, "blue", month: ReportMonth("2026-10")), within: .unlimited
    ).report
    let expected = ["n1", "n2", "n3", "s1"].map { node -> (node: String, watts: Double) in
      let hours = (0..<3).map { hour -> Double in
        let samples = past.samples.filter { $0.node == node && ($0.second - 1) / 3600 == Int64(hour) }
        let watts = samples.reduce(0.0) { $0 + Double($1.gpus.reduce(0) { $0 + $1.milliwatts }) / 1000 }
        let idle = samples.reduce(0) { $0 + $1.gpus.count { $0.permille < 50 } }
        return watts / Double(samples.count) * Double(idle) / Double(2 * samples.count)
      }
      return (node, hours.reduce(0, +) / 3)
    }.filter { $0.watts > 0 }.sorted { $0.watts > $1.watts }
    let nodes = try #require(report.idleNodes)
    #expect(nodes.map(\.node) == expected.map(\.node) && !nodes.isEmpty)
    for (node, want) in zip(nodes, expected) { #expect(close(node.idleWatts, want.watts) && node.hours == 3) }
    #expect(nodes.allSatisfy { $0.factory == ($0.node.hasPrefix("n") ? "north" : "south") })
  }

  @Test("of the running month the full hours count, without a month it is the last one that is over")
  func months() async throws {
    let past = try Self.past.get()
    let running = try await past.answers(now: "2026-10-31T14:30:00Z").report(
      UsageReportRequest(.factory, "north", month: ReportMonth("2026-10")), within: .unlimited
    ).report
    #expect(!running.isWholeMonth)
    #expect(running.account.endUnixMilliseconds == Self.start + 2 * 3_600_000)
    #expect(close(running.account.stored, (2 - 437.0 / 3600) / 743))
    let last = try await past.answers().report(UsageReportRequest(.factory, "north"), within: .unlimited).report
    #expect(last.month == "2026-10")
    // Midnight in Korea is 15:00 UTC of the day before.
    let early = try await past.answers(now: "2026-10-31T15:30:00Z").report(
      UsageReportRequest(.factory, "north"), within: .unlimited
    ).report
    #expect(early.month == "2026-10" && early.isWholeMonth)
    for (month, now) in [
      ("2026-11", "2026-10-31T14:59:59Z"), ("2026-11", "2026-10-31T15:30:00Z"), ("2027-01", "2026-11-15T00:00:00Z"),
    ] {
      await #expect(throws: APIError.self, "\(month) at \(now)") {
        try await past.answers(now: now).report(
          UsageReportRequest(.factory, "north", month: ReportMonth(month)), within: .unlimited)
      }
    }
  }

  @Test("who may not see the whole gets no account, and cannot tell what exists")
  func scopes() async throws {
    let past = try Self.past.get()
    let answers = try past.answers()
    func code(_ kind: UsageSubject.Kind, _ id: String, _ matchers: [String]) async throws -> String {
      let scope = try AccessScope(matchers)
      do {
        return try await answers.report(UsageReportRequest(kind, id), within: scope).report.subject.id
      } catch let error as APIError { return "\(error.code.rawValue) \(error.message)" }
    }
    #expect(try await code(.allocation, "blue", ["allocation=\"blue\""]) == "blue")
    #expect(try await code(.allocation, "blue/one", ["allocation=\"blue\""]) == "blue/one")
    #expect(try await code(.factory, "south", ["factory=\"south\""]) == "south")
    let refused = [
      try await code(.allocation, "blue", ["allocation=\"blue/two\""]),
      try await code(.allocation, "green", ["allocation=\"blue/two\""]),
      try await code(.allocation, "nobody", ["allocation=\"blue/two\""]),
    ]
    for (text, id) in zip(refused, ["blue", "green", "nobody"]) {
      #expect(text == "unknown_name no allocation is called \"\(id)\"; known are blue/two")
    }
    #expect(try await code(.factory, "north", ["allocation=\"blue\""]).hasPrefix("unknown_name"))
    #expect(try await code(.allocation, "blue", ["factory=\"north\""]).hasPrefix("unknown_name"))
    #expect(
      try await code(.allocation, "blue", ["allocation=\"blue\"", "factory=\"north\""]).hasPrefix("unknown_name"))
    #expect(try await code(.factory, "nowhere", []).contains("known are north, south"))
  }

  @Test("the key is made once, for its owner's eyes alone, and one that is damaged is not replaced")
  func keyFile() throws {
    let folder = try TemporaryDirectory()
    let key = try ReportKeyFile.signer(directory: folder.path).key
    #expect(try ReportKeyFile.signer(directory: folder.path).key == key)
    #expect(runShell("test \"$(stat -c %a '\(folder.path)/keys/report.key')\" = 600") == 0)
    #expect(runShell("chmod 644 '\(folder.path)/keys/report.key'") == 0)
    #expect(throws: StartFailure.self) { try ReportKeyFile.signer(directory: folder.path) }
    #expect(runShell("chmod 600 '\(folder.path)/keys/report.key'; echo x > '\(folder.path)/keys/report.key'") == 0)
    #expect(throws: StartFailure.self) { try ReportKeyFile.signer(directory: folder.path) }
  }
}
