import BongsuAPI
import BongsuFleet
import BongsuModel
import BongsuReports
import BongsuRollup
import BongsuTestKit
import Testing

@testable import BongsuStore
@testable import bongsu_aggregator

/// Accounts out of the files that a running aggregator keeps: raw rows become stored rollups, those the ledger and the
/// account.
@Suite("accounts of stored rollups")
struct StoredAccountTests {
  private let past: SimulatedPast
  private let answers: UsageAnswers
  private let folder: TemporaryDirectory

  /// The simulated samples as the store hands out raw rows.
  private static func rows(_ past: SimulatedPast) -> TierKeeper.RowSource {
    let byNode = Dictionary(grouping: past.samples, by: \.node)
    return { selection, body in
      let gpus = (0..<2).map { Device(scope: .gpu, index: UInt16($0), key: "GPU-\($0)", model: "NVIDIA T") }
      let columns = [MetricID.gpuPower, .gpuUtilization, .gpuEnergy].compactMap { MetricCatalogue.metric($0) }
      guard let layout = try? RowLayout(interval: .second, columns: columns, devices: gpus) else { return RawLosses() }
      for name in byNode.keys.sorted() {
        // In order of time; each minute looks for its own.
        let all = byNode[name] ?? []
        func position(of time: Int64) -> Int {
          all.partitioningIndex { SimulatedPast.start + $0.second * 1000 >= time }
        }
        let ticks = selection.ticks
        let first = position(of: ticks.lowerBound.unixMilliseconds)
        let samples = all[first..<position(of: ticks.upperBound.unixMilliseconds + 1)]
        guard !samples.isEmpty, let node = NodeID(name) else { continue }
        var words: [Int64] = []
        for gpu in 0..<2 { words += samples.map { $0.gpus[gpu].milliwatts } }
        for gpu in 0..<2 { words += samples.map { $0.gpus[gpu].permille } }
        for gpu in 0..<2 { words += samples.map { $0.gpus[gpu].millijoules } }
        let run = RawRun(
          node: node, layout: layout, columns: [0, 1, 2],
          ticks: samples.map { Tick(unixMilliseconds: SimulatedPast.start + $0.second * 1000) }, words: words)
        guard try body(run) else { break }
      }
      return RawLosses()
    }
  }

  /// The ledger of the store alone.
  private struct StoredLedger: HistorySource {
    let answers: LedgerAnswers
    func storage() async throws -> StorageReport { StorageReport(parts: []) }
    func ledger(_ request: LedgerRequest, within scope: AccessScope) async throws -> LedgerReport {
      try answers.report(request, within: scope)
    }
  }

  init() throws {
    let past = try UsageAnswersTests.past.get()
    self.past = past
    folder = try TemporaryDirectory()
    let path = "\(folder.path)/tiers.sqlite"
    let keeper = TierKeeper(store: try TierStore(path: path), plan: past.plan, rows: Self.rows(past))
    // Minutes of which rows are stored, as whoever stores rows notes them.
    let minutes = Set(past.samples.map { SimulatedPast.start + (($0.second + 59) / 60) * 60_000 })
    try keeper.store.note(shard: 0, through: 1, minutes: minutes, now: Tick(unixMilliseconds: 0))
    let end = Tick(unixMilliseconds: SimulatedPast.start + SimulatedPast.seconds * 1000)
    while try keeper.work(closedThrough: end, now: end) > 0 {}
    let store = try TierStore(path: path)
    let present = try #require(TimeText.unixMilliseconds("2026-11-15T00:00:00Z"))
    answers = UsageAnswers(
      tree: past.tree, tiers: store, ledger: StoredLedger(answers: LedgerAnswers(tiers: store, plan: past.plan)),
      signer: ReportSigner(), now: { present })
  }

  @Test(
    "GPU-hours, energy, utilization and the busiest nodes equal those of the raw samples; a hole says that it is one")
  func equalsRaw() async throws {
    for (request, nodes) in [
      (UsageReportRequest(.allocation, "blue"), ["n1", "n2", "n3", "s1"]),
      (UsageReportRequest(.factory, "south"), ["s1", "s2"]),
    ] {
      let report = try await answers.report(request, within: .unlimited).report
      let account = report.account
      let samples = past.samples.filter { nodes.contains($0.node) }
      let gpus = samples.flatMap(\.gpus)
      #expect(abs(account.reportingGPUHours - Double(gpus.count) / 3600) < 1e-9)
      #expect(abs(account.busyGPUHours - Double(gpus.count { $0.permille >= 50 }) / 3600) < 1e-9)
      // Of the six minutes without a row power is estimated, and nothing else is known.
      #expect(account.knownMinutes == 180 && abs(account.stored - 3.0 / 744) < 1e-9)
      #expect((account.estimatedShare ?? 0) > 0)
      let granted: Double? = request.kind == .allocation ? 5952 : nil
      #expect(account.grantedGPUHours == granted, "granted for all of the month")
      // Counters go on while nobody looks; what they say of the first second is its power.
      var joules = 0.0
      for node in nodes {
        let own = samples.filter { $0.node == node }
        for gpu in 0..<2 {
          joules += Double(own[own.count - 1].gpus[gpu].millijoules - own[0].gpus[gpu].millijoules) / 1000
          joules += Double(own[0].gpus[gpu].milliwatts) / 1000
        }
      }
      #expect(abs(account.energyJoules - joules) <= 1e-3 * joules, "\(account.energyJoules) is not \(joules)")
      var minutes: [Int64: (permille: Double, gpus: Double)] = [:]
      for sample in samples {
        minutes[(sample.second - 1) / 60, default: (0, 0)].permille += Double(
          sample.gpus.reduce(0) { $0 + $1.permille })
        minutes[(sample.second - 1) / 60, default: (0, 0)].gpus += 2
      }
      let shares = minutes.values.map { $0.permille / $0.gpus / 1000 }.sorted()
      #expect(abs((account.utilizationMean ?? -1) - shares.reduce(0, +) / Double(shares.count)) < 1e-9)
      #expect(abs((account.utilization95 ?? -1) - shares[Int((0.95 * Double(shares.count)).rounded(.up)) - 1]) < 1e-9)
      let idle = try #require(report.idleNodes)
      #expect(idle.allSatisfy { nodes.contains($0.node) && $0.hours == 3 })
    }
  }
}
