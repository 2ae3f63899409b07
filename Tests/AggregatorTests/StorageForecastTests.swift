import BongsuFleet
import BongsuModel
import BongsuReports
import BongsuRollup
import BongsuStore
import BongsuTestKit
import Foundation
import Testing

@testable import bongsu_aggregator

@Suite("forecast of the disk")
struct StorageForecastTests {
  private static let now = Tick(unixMilliseconds: 1_800_000_000_000)

  private static func plan(halls: Int, inService: Bool = true) throws -> RollupPlan {
    var text = "version: 1\nnation: test\ntime_zone: UTC\nfactories:\n  - id: east\n    halls:\n"
    for hall in 0..<halls {
      text += "      - { id: h\(hall), \(inService ? "in_service: 2020-01-01" : "planned: true"), model: B200, "
      text += "racks: [{ id: \"r[1-4]\", nodes: \"h\(hall)-{rack}-n[1-4]\" }] }\n"
    }
    text += "allocations:\n  - { path: ministry, members: [{ nodes: \"h0-r[1-4]-n[1-4]\" }] }\n"
    return RollupPlan(try FleetFile(text: text, path: "f.yaml").usableTree())
  }

  @Test("raw history is predicted by GPUs, rollups by groups, and nothing for halls that are only planned")
  func prediction() throws {
    let one = StorageForecast(try Self.plan(halls: 1), at: Self.now)
    #expect(one.nodes == 16 && one.gpus == 128)
    let raw = try #require(one.bytesPerDay["raw"])
    // 128 GPUs × 14 values × 86,400 s at 0.62 bytes.
    #expect(abs(raw - 95_993_856) < 1)
    let three = StorageForecast(try Self.plan(halls: 3), at: Self.now)
    #expect(abs((three.bytesPerDay["raw"] ?? 0) - 3 * raw) < 1)
    for name in ["1s", "10s", "1m", "15m", "1h", "sketches"] {
      let (small, large) = (one.bytesPerDay[name] ?? 0, three.bytesPerDay[name] ?? 0)
      #expect(small > 0 && small < large && large < 3 * small + 1, "\(name): \(small) and \(large)")
    }
    // Each tier is smaller than the one before, and all of them than raw history.
    let order = ["1s", "10s", "1m", "15m", "1h"].compactMap { one.bytesPerDay[$0] }
    #expect(order == order.sorted(by: >))
    let none = StorageForecast(try Self.plan(halls: 2, inService: false), at: Self.now)
    #expect(none.gpus == 0 && none.bytesPerDay.values.allSatisfy { $0 == 0 })
  }

  private static func course(
    _ parts: [(bytes: Double, rate: Double, kept: Double?)], max: Double
  ) -> DiskCourse {
    DiskCourse(groups: [
      DiskCourse.Group(
        name: "raw",
        parts: parts.enumerated().map { index, part in
          DiskCourse.Part(name: "\(index)", bytes: part.bytes, rate: part.rate, keptDays: part.kept)
        }, bytesMax: max)
    ])
  }

  @Test("days until the disk is full mind age and bounds")
  func daysUntilFull() {
    // 10 a day, nothing stored: 100 are full after ten days, never when 9 days are kept or 99 allowed.
    #expect(abs((Self.course([(0, 10, nil)], max: 1e9).daysUntilFull(free: 100) ?? 0) - 10) < 0.1)
    #expect(Self.course([(0, 10, 9)], max: 1e9).daysUntilFull(free: 100) == nil)
    #expect(Self.course([(0, 10, nil)], max: 99).daysUntilFull(free: 100) == nil)
    #expect(Self.course([(0, 10, nil)], max: 101).daysUntilFull(free: 100) != nil)
    #expect(Self.course([(0, 0, nil)], max: 1e9).daysUntilFull(free: 0) == nil)
    // What is stored counts: of 9 days six are there.
    #expect(abs((Self.course([(60, 10, 9)], max: 1e9).daysUntilFull(free: 20) ?? 0) - 2) < 0.1)
    // Two parts, of which one stops after two days: 20 + 5 a day are 45 after five days.
    #expect(abs((Self.course([(0, 10, 2), (0, 5, nil)], max: 1e9).daysUntilFull(free: 45) ?? 0) - 5) < 0.1)
  }

  @Test("bounds say for how long they hold, and when the oldest goes before its time")
  func bounds() {
    let never = Self.course([(0, 10, 5)], max: 100).groups[0]
    #expect(never.daysHeld == 10 && never.daysUntilBound == nil)
    let reached = Self.course([(20, 10, 50)], max: 100).groups[0]
    #expect(abs((reached.daysUntilBound ?? 0) - 8) < 0.1)
    #expect(Self.course([(100, 10, nil)], max: 100).groups[0].daysUntilBound == 0)
    let idle = Self.course([(0, 0, nil)], max: 100).groups[0]
    #expect(idle.daysHeld == nil && idle.daysUntilBound == nil)
  }

  @Test("an aggregator that has stored nothing tells what the fleet will take")
  func storage() throws {
    let folder = try TemporaryDirectory()
    try FileManager.default.createDirectory(
      atPath: "\(folder.path)/journal/shard-0", withIntermediateDirectories: true)
    let plan = try Self.plan(halls: 2)
    var settings = DataKeeper.Settings(journalBytesMax: 1 << 30)
    settings.rawBytesMax = 1_000_000_000
    settings.tiers = TierRetention(keptMilliseconds: [.second: 31 * 86_400_000], bytesMax: 1 << 40)
    let store = try DataKeeper(directory: folder.path, shards: 1, settings: settings) { _ in }
    let answers = HistoryAnswers(
      store: store, directory: folder.path, ledger: LedgerAnswers(tiers: store.tiers, plan: plan))
    let report = try answers.storageNow()
    #expect(report.predictedForGPUs == 256 && report.minutesWaiting == 0)
    let raw = try #require(report.parts.first { $0.name == "raw" })
    #expect(raw.bytes == 0 && raw.bytesPerDay == nil && raw.predictedBytesPerDay == 191_987_712)
    #expect(report.parts.filter { $0.predictedBytesPerDay != nil }.count == 7)
    let bounds = try #require(report.bounds)
    #expect(bounds.map(\.name) == ["raw", "rollups"] && bounds[0].bytesMax == 1_000_000_000)
    #expect(abs((bounds[0].daysHeld ?? 0) - 5.2086) < 0.001 && abs((bounds[0].daysUntilReached ?? 0) - 5.21) < 0.02)
    #expect((bounds[1].daysHeld ?? 0) > 1000)
  }
}
