import BongsuAPI
import BongsuFleet
import BongsuModel
import BongsuReports
import BongsuRollup
import BongsuTestKit
import Testing

@testable import BongsuStore
@testable import bongsu_aggregator

@Suite("the ledger of allocations")
struct LedgerAnswersTests {
  /// 2026-01-01T00:00:00Z.
  private static let start: Int64 = 1_767_225_600_000
  private static let minutes: Int64 = 90
  private static let fleet = """
    version: 1
    nation: test
    time_zone: UTC
    factories:
      - id: east
        halls:
          - id: a
            in_service: 2020-01-01
            model: B200
            racks: [{ id: r1, nodes: "n[1-2]" }]
      - id: west
        halls:
          - id: a
            in_service: 2020-01-01
            model: B200
            racks: [{ id: r1, nodes: n3 }]
    allocations:
      - path: ministry
        granted_gpus: 20
        members: [{ nodes: n1 }]
      - path: ministry/lab
        granted_gpus: 8
        members: [{ nodes: n3, until: 2026-01-01T00:30 }]
      - path: owner
        members: [{ nodes: n3, from: 2026-01-01T00:30 }, { nodes: n2 }]
    """

  /// Three nodes of one GPU each at 1 kW, 2 kW, 3 kW; every other minute it is at work. Node 2 says nothing from 00:15 to
  /// 00:45.
  private static let rows: TierKeeper.RowSource = { selection, body in
    let gpu = Device(scope: .gpu, index: 0, key: "GPU-1", model: "NVIDIA B200")
    guard let power = MetricCatalogue.metric(.gpuPower), let use = MetricCatalogue.metric(.gpuUtilization),
      let energy = MetricCatalogue.metric(.gpuEnergy),
      let layout = try? RowLayout(interval: .second, columns: [power, use, energy], devices: [gpu])
    else { return RawLosses() }
    for number in 1...3 as ClosedRange<Int64> {
      let ticks = stride(from: start + 1000, through: start + minutes * 60_000, by: 1000)
        .filter { number != 2 || !($0 > start + 900_000 && $0 <= start + 2_700_000) }
        .map { Tick(unixMilliseconds: $0) }.filter { selection.ticks.contains($0) }
      guard !ticks.isEmpty, let node = NodeID("n\(number)") else { continue }
      let words =
        ticks.map { _ in number * 1_000_000 }
        + ticks.map { ($0.unixMilliseconds - 1) / 60_000 % 2 == 0 ? 900 : 0 }
        + ticks.map { ($0.unixMilliseconds - start) * number * 1000 }
      guard try body(RawRun(node: node, layout: layout, columns: [0, 1, 2], ticks: ticks, words: words)) else { break }
    }
    return RawLosses()
  }

  private let answers: LedgerAnswers
  private let folder: TemporaryDirectory

  init() throws {
    let plan = RollupPlan(try #require(FleetFile(text: Self.fleet, path: "f.yaml").tree))
    folder = try TemporaryDirectory()
    let keeper = TierKeeper(store: try TierStore(path: "\(folder.path)/tiers.sqlite"), plan: plan, rows: Self.rows)
    let ends = (1...Self.minutes).map { Self.start + $0 * 60_000 }
    try keeper.store.note(shard: 0, through: 1, minutes: Set(ends), now: Tick(unixMilliseconds: 0))
    let end = Tick(unixMilliseconds: Self.start + Self.minutes * 60_000)
    while try keeper.work(closedThrough: end, now: end) > 0 {}
    answers = LedgerAnswers(tiers: try TierStore(path: "\(folder.path)/tiers.sqlite"), plan: plan)
  }

  private func entries(
    _ scope: AccessScope = .unlimited, hours: Int64 = 2, step: LedgerRequest.Step? = nil, allocation: String? = nil,
    factory: String? = nil, byFactory: Bool = false
  ) throws -> [String: LedgerEntry] {
    let report = try answers.report(
      LedgerRequest(
        allocation: allocation, factory: factory, byFactory: byFactory, startUnixMilliseconds: Self.start,
        endUnixMilliseconds: Self.start + hours * 3_600_000, step: step), within: scope)
    return Dictionary(
      uniqueKeysWithValues: report.entries.map { entry in
        let hour = (entry.startUnixMilliseconds - Self.start) / 3_600_000
        return ("\(hour) \(entry.allocation)" + (entry.factory.map { " @\($0)" } ?? ""), entry)
      })
  }

  @Test("hours are accounted by membership as it was, with the running hour up to its last minute")
  func accounts() throws {
    let found = try entries()
    let ministry = try #require(found["0 ministry"])
    // Node 1 for 90 minutes, node 3 for 30.
    #expect(abs(ministry.reportingGPUHours - 2) < 0.001)
    #expect(ministry.grantedGPUHours == 40)
    #expect(abs(ministry.busyGPUHours - 1) < 0.001 && abs(ministry.idleGPUHours - 1) < 0.001)
    // 1 kW for 90 minutes, 3 kW for 30, less what is before the first reading of a counter.
    #expect(abs(ministry.energyJoules - (5_400_000 + 5_400_000)) < 20_000)
    #expect(ministry.peakWatts.map { $0 >= 4000 } == true)
    #expect(abs(ministry.stored - 0.75) < 0.001)
    let owner = try #require(found["0 owner"])
    // Node 2 for 60 of 90 minutes, node 3 for 60; all eight GPUs of a node are expected, without the gap.
    #expect(abs(owner.reportingGPUHours - 2) < 0.001)
    #expect(abs(owner.expectedGPUHours - 20) < 0.01)
    #expect(owner.grantedGPUHours == nil)
    #expect(found["0 ministry/lab"]?.depth == 2)
    #expect(found["0 unassigned"]?.reportingGPUHours == 0)
    let top = found.values.filter { $0.depth == 1 }.reduce(0) { $0 + $1.reportingGPUHours }
    #expect(abs(top - 4) < 0.001)
  }

  @Test("by factory, by hour and by name the same hours are told apart, and add up")
  func parts() throws {
    let whole = try entries()
    let split = try entries(byFactory: true)
    #expect(split["0 ministry @east"].map { abs($0.reportingGPUHours - 1.5) < 0.001 } == true)
    #expect(split["0 ministry @west"].map { abs($0.reportingGPUHours - 0.5) < 0.001 } == true)
    #expect(split["0 owner @west"].map { abs($0.energyJoules - 10_800_000) < 20_000 } == true)
    for name in ["ministry", "owner"] {
      let parts = split.values.filter { $0.allocation == name }
      #expect(parts.reduce(0) { $0 + $1.energyJoules } == whole["0 \(name)"]?.energyJoules)
    }
    let hours = try entries(step: .hour)
    #expect(hours["1 ministry"].map { abs($0.reportingGPUHours - 0.5) < 0.001 && $0.stored == 0.5 } == true)
    #expect(hours["0 owner"].map { abs($0.reportingGPUHours - 1) < 0.001 && $0.stored == 1 } == true)
    #expect(try Set(entries(allocation: "ministry").keys) == ["0 ministry", "0 ministry/lab"])
    #expect(try Set(entries(factory: "west").keys).isSubset(of: split.keys))
    #expect(throws: APIError.self) { try entries(allocation: "nobody") }
    #expect(throws: APIError.self) { try entries(factory: "nowhere") }
  }

  @Test("a scope sees its own allocations and factories only, and their sums as such")
  func scopes() throws {
    #expect(try Set(entries(AccessScope(["allocation=~\"ministry(/.*)?\""])).keys) == ["0 ministry", "0 ministry/lab"])
    let east = try entries(AccessScope(["factory=\"east\""]))
    #expect(east["0 ministry"].map { abs($0.reportingGPUHours - 1.5) < 0.001 } == true)
    #expect(east["0 ministry"]?.factory == nil)
    let alone = try entries(byFactory: true)["0 ministry @east"]
    #expect(east["0 ministry"]?.meanWatts == alone?.meanWatts && east["0 ministry"]?.peakWatts == alone?.peakWatts)
    #expect(alone?.meanWatts.map { $0 >= 1000 } == true)
    #expect(try entries(AccessScope(["rack=\"r1\""])).isEmpty)
  }
}
