import BongsuAPI
import BongsuAlerts
import BongsuReports
import BongsuSeries
import BongsuTestKit
import FixtureAggregator
import Foundation
import Logging
import Synchronization

/// An aggregator of two tenants, or of one of them alone.
///
/// A token for `naver` is asked the same things of both: whatever differs between the answers is something that it learned
/// about others. Naver shares a factory with a hosted ministry, so that totals of that factory contain both, and another
/// tenant's name begins with its own.
struct ScopedWorld: Sendable {
  static let start: Int64 = FixtureAggregator.tickUnixMilliseconds
  static let ticks = 4
  /// An instant that is recent for as long as the tests run, the same in every world.
  static let present = Int64(Date().timeIntervalSince1970 * 1000)

  let live: FixtureAggregator
  let memory: MemorySeries
  let written = RuleSeries()
  let alerts: AlertRunner
  let tokens: FixtureTokens
  private let folder: TemporaryDirectory

  /// - Parameter hasOthers: whether anybody but Naver is there.
  init(hasOthers: Bool) throws {
    live = FixtureAggregator { hasOthers || $0 == "naver" }
    memory = Self.series(hasOthers: hasOthers)
    tokens = FixtureTokens()
    folder = try TemporaryDirectory()
    var configuration = AlertingConfiguration()
    configuration.usesShippedRules = false
    try Self.commonRules.write(toFile: "\(folder.path)/common.yaml", atomically: true, encoding: .utf8)
    if hasOthers { try Self.othersRules.write(toFile: "\(folder.path)/sk.yaml", atomically: true, encoding: .utf8) }
    configuration.ruleFiles = ["\(folder.path)/*.yaml"]
    configuration.restartHoldMilliseconds = 0
    var logger = Logger(label: "bongsu.test")
    logger.logLevel = .critical
    alerts = try AlertRunner(
      configuration, persistence: KeptTransitions(),
      inputs: AlertRunner.Inputs(
        source: RuleSource(live: TickSeries(), written: written, others: memory), circumstances: { _ in .init() },
        prepare: { _ in }),
      logger: logger)
  }

  var sources: APISources {
    let series = RuleSource(live: TickSeries(), written: written, others: memory)
    return APISources(
      live: live, enrolment: live, export: MemoryExport(series: memory), gaps: live, tokens: tokens,
      history: MemoryHistory(live: live), series: series, alerts: alerts, page: StillPage(live: live),
      metadata: ["gpu:power", "allocation:power", "factory:power", "nation:power", "bongsu_secret_project"].map {
        MetricMetadata(name: $0, kind: .gauge, help: "of \($0)", unit: "")
      })
  }

  /// Serves the world while `body` runs, after its rules have been evaluated at every tick.
  func serve<Value: Sendable>(_ body: @escaping @Sendable (Int) async throws -> Value) async throws -> Value {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { [alerts] in try await alerts.run() }
      defer { group.cancelAll() }
      for tick in 0..<Self.ticks {
        let time = Self.start + Int64(tick) * 1000
        alerts.tickClosed(time)
        // Groups that read more than memory are evaluated on a thread of their own, and skip ticks when these run ahead.
        while !hasEvaluated(time) { try await Task.sleep(for: .milliseconds(2)) }
      }
      return try await withServer(sources, body)
    }
  }

  private func hasEvaluated(_ time: Int64) -> Bool {
    let snapshot = alerts.snapshot
    return snapshot.time ?? 0 >= time && !snapshot.groups.isEmpty
      && snapshot.groups.allSatisfy { group in group.health.allSatisfy { $0.lastEvaluation ?? 0 >= time } }
  }

  // MARK: Series

  private static func series(hasOthers: Bool) -> MemorySeries {
    var series = MemorySeries()
    func add(_ name: String, _ labels: [String: String], _ value: Double) {
      let set = LabelSet(
        metricName: name, labels: (["nation": "kr"].merging(labels) { $1 }).map { Label(name: $0.key, value: $0.value) }
      )
      for tick in 0..<ticks {
        series.append(set, timestamp: start + Int64(tick) * 1000, value: value + Double(tick))
      }
    }
    /// GPUs of (factory, hall, rack, node, allocation), watts each.
    var nodes: [(String, String, String, String, String, Double)] = [
      ("naver-sejong", "hall-1", "r2", "n1", "naver", 900),
      ("naver-sejong", "hall-2", "r3", "n2", "naver/research", 700),
    ]
    if hasOthers {
      nodes += [
        ("naver-sejong", "hall-1", "r1", "n3", "msit/naver-hosted", 655),
        ("sk-ulsan", "hall-a", "r1", "n4", "sk", 1444),
        ("sk-ulsan", "hall-a", "r1", "n5", "naver-cloud", 333),
      ]
    }
    var totals: [String: [[String: String]: Double]] = [:]
    for (factory, hall, rack, node, allocation, watts) in nodes {
      for gpu in 0..<2 {
        add(
          "gpu:power",
          [
            "factory": factory, "hall": hall, "rack": rack, "node": node, "gpu": "\(gpu)", "allocation": allocation,
          ], watts + Double(gpu))
      }
      totals["nation:power", default: [:]][[:], default: 0] += watts
      totals["factory:power", default: [:]][["factory": factory], default: 0] += watts
      totals["rack:power", default: [:]][["factory": factory, "hall": hall, "rack": rack], default: 0] += watts
      var path = ""
      for (depth, part) in allocation.split(separator: "/").enumerated() {
        path += (path.isEmpty ? "" : "/") + part
        let labels = ["allocation": path, "depth": "\(depth + 1)"]
        totals["allocation:power", default: [:]][labels, default: 0] += watts
        totals["factory_allocation:power", default: [:]][labels.merging(["factory": factory]) { $1 }, default: 0] +=
          watts
      }
    }
    for (name, groups) in totals.sorted(by: { $0.key < $1.key }) {
      for (labels, watts) in groups.sorted(by: {
        "\($0.key.sorted { $0.key < $1.key })" < "\($1.key.sorted { $0.key < $1.key })"
      }) {
        add(name, labels, watts)
      }
    }
    add("up", [:], hasOthers ? 5 : 2)
    add("bongsu_nodes_connected", [:], Double(nodes.count))
    for (bound, count) in [("1", 1.0), ("2", hasOthers ? 3 : 8.5), ("+Inf", 9)] {
      add("latency_bucket", ["le": bound], count)
    }
    // What is scraped is of the present.
    for allocation in ["naver"] + (hasOthers ? ["sk", "naver-cloud"] : []) {
      let labels = [("nation", "kr"), ("allocation", allocation), ("node", "n-of-\(allocation)")]
      series.append(
        LabelSet(metricName: "fresh:power", labels: labels.map { Label(name: $0.0, value: $0.1) }), timestamp: present,
        value: 17)
    }
    if hasOthers { add("bongsu_secret_project", ["allocation": "sk", "project": "moonshot"], 42) }
    return series
  }

  // MARK: Rules

  private static let commonRules = """
    groups:
      - name: common
        interval: 1s
        rules:
          - record: tenant:power:sum
            expr: sum by (allocation) (gpu:power)
          - alert: Hot
            expr: gpu:power > 600
            annotations: {summary: "{{ $labels.node }} of {{ $labels.allocation }}"}
          - alert: FactoryHigh
            expr: factory:power > 1
          - alert: NationHigh
            expr: nation:power > 1
          - alert: Clash
            expr: gpu:power + on (gpu) group_left () allocation:power
    """

  private static let othersRules = """
    groups:
      - name: sk-duty
        interval: 1s
        rules:
          - alert: SKHigh
            expr: allocation:power{allocation="sk"} > 1
            annotations: {summary: "call the duty officer of sk-ulsan"}
          - alert: Labelled
            expr: nation:power > 1
            labels: {allocation: sk}
          - alert: Pattern
            expr: allocation:power{allocation=~"sk.*"} > 1
          - alert: Meter
            expr: nation:power > 1 and on () gpu:power{meter="sk-ulsan-main"}
          - record: sk:power:sum
            expr: sum(label_replace(gpu:power, "owner", "sk", "allocation", "sk"))
    """
}

/// Tokens by their secrets.
final class FixtureTokens: AccessTokenControl {
  private let grants = Mutex<[String: AccessGrant]>([:])
  private let reports = Mutex<[AccessTokenReport]>([])

  /// Lets `secret` in.
  func add(_ secret: String, _ role: AccessRole, _ matchers: String...) throws {
    let grant = AccessGrant(id: "at-\(secret)", name: secret, role: role, scope: try AccessScope(matchers))
    grants.withLock { $0[secret] = grant }
  }

  func grant(forSecret secret: String) -> AccessGrant? { grants.withLock { $0[secret] } }

  func createAccessToken(_ request: AccessTokenRequest, by person: Operator) async throws -> CreatedAccessToken {
    let scope = try AccessScope(request.matchers)
    let secret = "secret-of-\(request.name)"
    grants.withLock {
      $0[secret] = AccessGrant(id: "at-\(request.name)", name: request.name, role: request.role, scope: scope)
    }
    let report = AccessTokenReport(
      id: "at-\(request.name)", name: request.name, role: request.role, matchers: request.matchers, state: .active,
      createdUnixMilliseconds: ScopedWorld.start,
      expiresUnixMilliseconds: request.lifeSeconds.map { ScopedWorld.start + $0 * 1000 })
    reports.withLock { $0.append(report) }
    return CreatedAccessToken(secret: secret, token: report)
  }

  func accessTokens() async throws -> [AccessTokenReport] { reports.withLock { $0 } }

  func revokeAccessToken(_ name: String, by person: Operator) async throws -> AccessTokenReport? {
    grants.withLock { grants in grants = grants.filter { $0.value.name != name } }
    return reports.withLock { reports in
      guard let index = reports.firstIndex(where: { $0.name == name }) else { return nil }
      reports[index].state = .revoked
      return reports[index]
    }
  }
}

/// Exports a series source by the selectors of a request.
struct MemoryExport: ExportSource {
  let series: MemorySeries

  func export(_ request: ExportRequest, to body: (ExportedSeries) async throws -> Void) async throws {
    let selectors = try ExportSelectors(request.matchers)
    var found: [ExportedSeries] = []
    let everything = SeriesSelection(
      matchers: [try LabelMatcher("__name__", .notEqual, "")], startMilliseconds: request.startUnixMilliseconds,
      endMilliseconds: request.endUnixMilliseconds, rangeMilliseconds: 1, isSorted: true)
    try series.visitSeries(everything) { labels, samples in
      let rest = labels.labelsWithoutName.map { (name: $0.name, value: $0.value) }
      guard selectors.includes(name: labels.metricName, rest) else { return }
      found.append(
        ExportedSeries(
          name: labels.metricName, kind: .gauge, labels: rest,
          samples: zip(samples.timestamps, samples.values).map {
            ExportedSeries.Sample(unixMilliseconds: $0, value: $1)
          }))
    }
    for one in found { try await body(one) }
  }
}

/// Keeps transitions in memory.
private final class KeptTransitions: AlertPersistence {
  private let kept = Mutex<[AlertTransition]>([])

  func load() throws -> SavedAlerting { SavedAlerting() }

  func commit(_ change: AlertingChange) throws -> [Int64] {
    kept.withLock { $0 += change.transitions }
    return (0..<Int64(change.events.count)).map { $0 }
  }

  func history(from start: Int64, through end: Int64, limit: Int) throws -> [AlertTransition] {
    Array(kept.withLock { $0 }.reversed().filter { (start...end).contains($0.at) }.prefix(limit))
  }
}
