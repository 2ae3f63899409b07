import BongsuAPI
import BongsuFleet
import BongsuModel
import BongsuReports
import BongsuRollup
import BongsuTestKit
import Testing

@testable import BongsuStore
@testable import bongsu_aggregator

@Suite("fleet restate")
struct FleetAnswersTests {
  /// 2026-01-01T00:00:00+09:00.
  private static let start: Int64 = 1_767_225_600_000 - 32_400_000
  private static let minutes: Int64 = 6
  private static let text = """
    version: 1
    nation: test
    time_zone: Asia/Seoul
    factories:
      - id: east
        halls:
          - { id: a, in_service: 2020-01-01, model: B200, racks: [{ id: r1, nodes: "n[1-2]" }] }
    allocations:
      - { path: ministry, members: [{ nodes: n1 }] }
      - { path: owner, members: [{ nodes: n2 }] }
    """

  /// Two nodes of one GPU at 1 kW and 2 kW.
  private static let rows: TierKeeper.RowSource = { selection, body in
    let gpu = Device(scope: .gpu, index: 0, key: "GPU-1", model: "NVIDIA B200")
    guard let power = MetricCatalogue.metric(.gpuPower),
      let layout = try? RowLayout(interval: .second, columns: [power], devices: [gpu])
    else { return RawLosses() }
    for number in 1...2 as ClosedRange<Int64> {
      let ticks = stride(from: start + 1000, through: start + minutes * 60_000, by: 1000)
        .map { Tick(unixMilliseconds: $0) }.filter { selection.ticks.contains($0) }
      guard !ticks.isEmpty, let node = NodeID("n\(number)") else { continue }
      let words = ticks.map { _ in number * 1_000_000 }
      guard try body(RawRun(node: node, layout: layout, columns: [0], ticks: ticks, words: words)) else { break }
    }
    return RawLosses()
  }

  private let folder: TemporaryDirectory
  private let registry: Registry

  init() throws {
    folder = try TemporaryDirectory()
    registry = try Registry(path: "\(folder.path)/registry.sqlite")
  }

  /// The answers of an aggregator that was started with a fleet file, an hour after the first row.
  private func answers(_ text: String) throws -> FleetAnswers {
    let file = FleetFile(text: text, path: "f.yaml")
    let plan = RollupPlan(try file.usableTree())
    let keeper = TierKeeper(
      store: try TierStore(path: "\(folder.path)/tiers.sqlite"),
      fleet: TierKeeper.Fleet(plan, text: file.text, options: FleetOptions()), rows: Self.rows)
    return FleetAnswers(keeper: keeper, tree: plan.tree, registry: registry) {
      Tick(unixMilliseconds: Self.start + 3_600_000)
    }
  }

  private func work(_ answers: FleetAnswers) throws {
    let end = Tick(unixMilliseconds: Self.start + Self.minutes * 60_000)
    while try answers.keeper.work(closedThrough: end, now: Tick(unixMilliseconds: Self.start + 3_600_000)) > 0 {}
  }

  /// Joules by allocation, as the ledger tells them.
  private func ledger(_ answers: FleetAnswers) throws -> [String: Double] {
    let ledger = LedgerAnswers(tiers: answers.keeper.store, plan: RollupPlan(answers.tree))
    let report = try ledger.report(
      LedgerRequest(
        allocation: nil, factory: nil, byFactory: false, startUnixMilliseconds: Self.start,
        endUnixMilliseconds: Self.start + 3_600_000, step: nil), within: .unlimited)
    return Dictionary(uniqueKeysWithValues: report.entries.map { ($0.allocation, $0.energyJoules) })
  }

  private func refusal(_ answers: FleetAnswers, _ from: String) -> String? {
    do {
      _ = try answers.restateNow(from, "loopback 127.0.0.1")
      return nil
    } catch let error as APIError {
      return "\(error.code.rawValue): \(error.message); \(error.nextStep)"
    } catch {
      return "\(error)"
    }
  }

  @Test("the ledger stays with a changed file, changes with a restatement, and the audit log has who asked for it")
  func restated() throws {
    let before = try answers(Self.text)
    #expect(refusal(before, "2026-01-01")?.contains("no minute is stored from 2026-01-01T00:00:00+09:00 on") == true)
    let ends = (1...Self.minutes).map { Self.start + $0 * 60_000 }
    try before.keeper.store.note(shard: 0, through: 1, minutes: Set(ends), now: Tick(unixMilliseconds: 0))
    try work(before)
    let first = try ledger(before)
    #expect(first["ministry"] == 360_000 && first["owner"] == 720_000)
    #expect(
      refusal(before, "2026-01-01")
        == "bad_parameter: nothing is to be restated: all minutes from 2026-01-01T00:00:00+09:00 on are of the present "
        + "fleet file; start the aggregator with the changed fleet file first, or give an earlier day")

    let after = try answers(
      Self.text.replacing("nodes: n1 }", with: "nodes: \"n[1-2]\" }").replacing(", members: [{ nodes: n2 }]", with: ""))
    try work(after)
    #expect(try ledger(after) == first, "the file alone rewrote the past")
    #expect(try registry.audit(limit: 10).isEmpty)

    let report = try after.restateNow("2026-01-01T00:02", "token ops 10.0.0.7")
    #expect(
      report == RestateReport(fromUnixMilliseconds: Self.start + 120_000, from: "2026-01-01T00:02:00+09:00", minutes: 4)
    )
    let entry = try #require(try registry.audit(limit: 10).first)
    #expect(entry.action == "fleet_restated" && entry.actor == "token ops 10.0.0.7")
    #expect(
      entry.subject == "2026-01-01T00:02:00+09:00"
        && entry.detail == "4 minutes up to 2026-01-01T00:06:00+09:00")
    try work(after)
    let second = try ledger(after)
    #expect(second["ministry"] == 360_000 + 480_000 && second["owner"] == 240_000)
    // The day as a whole: what is left of it.
    #expect(try after.restateNow("2026-01-01", "loopback").minutes == 2)
    try work(after)
    #expect(try ledger(after)["ministry"] == 1_080_000)
    #expect(try registry.audit(limit: 10).count == 2)
  }

  @Test(
    "what cannot be restated is refused with the reason and the next step, and is not in the audit log",
    arguments: [
      ("", "from is \"\""), ("yesterday", "from is \"yesterday\"; give a day of Asia/Seoul such as 2026-11-01"),
      ("2026-02-30", "from is \"2026-02-30\""), ("2026-1-1", "from is \"2026-1-1\""), ("1767225600", "from is"),
      ("2026-01-01T24:01", "from is"), ("2026-01-01\u{7}", "from is \"2026-01-01\\"),
      (
        "2026-01-02",
        "from is 2026-01-02T00:00:00+09:00, which is yet to come; it is 2026-01-01T01:00:00+09:00; leave it"
      ),
      ("2026-01-01T00:06", "no minute is stored from 2026-01-01T00:06:00+09:00 on; give an earlier day"),
      (
        "2026-01-01T00:01:59",
        "what minutes before 2026-01-01T00:02:00+09:00 are formed of is no longer kept; give 2026-01-01T00:02:00+09:00"
      ),
    ])
  func refused(from: String, text: String) throws {
    let before = try answers(Self.text)
    let ends = (1...Self.minutes).map { Self.start + $0 * 60_000 }
    try before.keeper.store.note(shard: 0, through: 1, minutes: Set(ends), now: Tick(unixMilliseconds: 0))
    try work(before)
    let after = try answers(Self.text.replacing("path: owner", with: "path: buyer"))
    try after.keeper.store.noteRawRemoved(through: Self.start + 120_000)
    let told = try #require(refusal(after, from))
    #expect(told.hasPrefix("bad_parameter: ") && told.contains(text), "\(told)")
    #expect(try registry.audit(limit: 10).isEmpty && after.keeper.store.dirtyCount() == 0)
  }
}
