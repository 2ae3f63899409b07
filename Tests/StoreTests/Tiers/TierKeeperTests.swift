import BongsuFleet
import BongsuModel
import BongsuRollup
import BongsuTestKit
import GRDB
import Testing

@testable import BongsuStore

@Suite("Stored tiers of rollups")
struct TierKeeperTests {
  static let seconds = 420
  static var closed: Tick { Tick(unixMilliseconds: TierFleet.start + Int64(seconds) * 1000) }
  /// Long after all rows have come.
  static var later: Tick { Tick(unixMilliseconds: TierFleet.start + 86_400_000) }

  static func work(_ keeper: TierKeeper, closed: Tick? = nil) throws {
    while try keeper.work(closedThrough: closed ?? Self.closed, now: later) > 0 {}
  }

  static func keeper(_ path: String, _ rows: TierRows) throws -> TierKeeper {
    TierKeeper(store: try TierStore(path: path), plan: TierFleet.plan, rows: rows.source)
  }

  static func note(_ keeper: TierKeeper, _ record: UInt64, _ minutes: Set<Int64>) throws {
    try keeper.store.note(shard: 0, through: record, minutes: minutes, now: Tick(unixMilliseconds: 0))
  }

  /// Everything that is stored, as text by level, tier, group and series.
  static func content(
    _ store: TierStore, _ all: [RollupSeries] = RollupSeries.all
  ) throws -> [String: [Int64: Double]] {
    var content: [String: [Int64: Double]] = [:]
    for level in TierLevel.all {
      for tier in Tier.allCases where tier >= level.finestTier {
        let question = TierQuestion(level, tier, in: Limits.tickRange, all)
        try store.visit(question) { group, course in
          for (index, series) in all.enumerated() {
            let name = "\(tier) \(level.prefix):\(series.metric):\(series.operation) \(group.labels)"
            for (end, value) in zip(course.ends, course.values[index]) where !value.isNaN {
              content[name, default: [:]][end] = value
            }
          }
          return true
        }
      }
    }
    return content
  }

  @Test(
    "every level, tier and statistic above nodes equals the run in which all rows came in time",
    arguments: [11] as [UInt64])
  func equalsUndisturbedRun(seed: UInt64) throws {
    let seed = SeededRandom(default: seed).seed
    let rows = TierRows(seed: seed, seconds: Self.seconds)
    let folder = try TemporaryDirectory()
    let keeper = try Self.keeper(folder.path + "/tiers.sqlite", rows)
    try Self.note(keeper, 1, rows.minutes())
    try Self.work(keeper)
    let stored = try Self.content(keeper.store)
    let live = LiveRun(rows.all, from: TierFleet.start, seconds: Self.seconds)
    var compared = 0
    for level in RollupLevel.allCases {
      for tier in Tier.allCases where tier >= TierLevel.rollup(level).finestTier {
        let windows = live.windows(level, tier)
        for series in RollupSeries.all where !series.isQuantile {
          for group in 0..<TierFleet.plan.groupCount(level) {
            let name =
              "\(tier) \(level.prefix):\(series.metric):\(series.operation) \(TierFleet.plan.labels(level, group))"
            var want: [Int64: Double] = [:]
            if tier == .second {
              for tick in live.ticks {
                if let value = series.value(tick, level, group) { want[tick.tick.unixMilliseconds] = value }
              }
            } else {
              for window in windows where window.end <= Self.closed {
                if let value = series.value(window, group) { want[window.end.unixMilliseconds] = value }
              }
            }
            let got = stored[name] ?? [:]
            // A minute of a group in which there is nothing but zeros need not be stored.
            let minutes = Set(got.keys.map { Tier.minute.end(of: Tick(unixMilliseconds: $0)) })
            want = want.filter {
              $0.value != 0 || minutes.contains(Tier.minute.end(of: Tick(unixMilliseconds: $0.key)))
            }
            if got != want {
              let place = Set(got.keys).union(want.keys).sorted().first { got[$0] != want[$0] }!
              Issue.record(
                "\(name), seed \(seed), at \(place - TierFleet.start) ms: \(got[place] ?? .nan), want \(want[place] ?? .nan)"
              )
              return
            }
            compared += want.count
          }
        }
      }
    }
    #expect(compared > 100_000, "\(compared) numbers")
  }

  @Test("minutes of nodes and quantiles equal a recomputation from the rows", arguments: [13] as [UInt64])
  func equalsRows(seed: UInt64) throws {
    let seed = SeededRandom(default: seed).seed
    let rows = TierRows(seed: seed, seconds: Self.seconds)
    let folder = try TemporaryDirectory()
    let keeper = try Self.keeper(folder.path + "/tiers.sqlite", rows)
    try Self.note(keeper, 1, rows.minutes())
    try Self.work(keeper)
    let stored = try Self.content(keeper.store)
    func readings(_ metric: MetricID, _ entries: [TierRows.Entry]) -> [Int64] {
      entries.flatMap { entry -> [Int64] in
        guard let column = entry.layout.column(of: metric) else { return [] }
        return entry.row[entry.layout.range(of: column)].filter { $0 != SampleValue.absent.bits }
      }
    }
    for minute in stride(from: TierFleet.start + 60_000, through: Self.closed.unixMilliseconds, by: 60_000) {
      let inMinute = rows.all.filter { minute - 60_000 < $0.tick && $0.tick <= minute }
      for name in TierFleet.names where name != "east-utility" {
        let id = NodeID(name)!
        let entries = inMinute.filter { $0.node == id }
        let labels = TierFleet.plan.labels(of: id, at: Tick(unixMilliseconds: minute))
        let powers = readings(.gpuPower, entries)
        let prefix = "minute node:bongsu_gpu_power_watts:"
        let average = stored["\(prefix)avg \(labels)"]?[minute]
        #expect(average == (powers.isEmpty ? nil : Double(powers.reduce(0, +)) / Double(powers.count) / 1000))
        #expect(stored["\(prefix)max \(labels)"]?[minute] == powers.max().map { Double($0) / 1000 })
        #expect(stored["\(prefix)min \(labels)"]?[minute] == powers.min().map { Double($0) / 1000 })
      }
      try quantiles(minute, rows.all, stored, readings)
    }
    let p99 = stored["minute nation:bongsu_gpu_power_watts:p99 \(TierFleet.plan.labels(.nation, 0))"] ?? [:]
    #expect(p99.count == Self.seconds / 60 && p99.values.allSatisfy { (900...1010).contains($0) }, "\(p99)")
  }

  /// Compares the quantiles of a minute with the sorted readings, where all of a group come at every tick: a slow node
  /// counts between its readings and a fast one by its means.
  private func quantiles(
    _ minute: Int64, _ rows: [TierRows.Entry], _ stored: [String: [Int64: Double]],
    _ readings: (MetricID, [TierRows.Entry]) -> [Int64]
  ) throws {
    // Until then a fast node belongs to the owner, too.
    guard minute > TierFleet.start + 240_000 else { return }
    let owner = try #require(TierFleet.tree.allocation("owner"))
    let powers = readings(
      .gpuPower, rows.filter { minute - 60_000 < $0.tick && $0.tick <= minute && $0.node.name.hasPrefix("east-a-r2-") }
    ).sorted()
    let labels = TierFleet.plan.labels(.allocation, owner.position)
    for (name, share) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
      let value = stored["minute allocation:bongsu_gpu_power_watts:\(name) \(labels)"]?[minute]
      guard powers.count > 100 else { continue }
      let rank = Int(share * Double(powers.count - 1))
      let (low, high) = (Double(powers[rank]) / 1000, Double(powers[min(rank + 1, powers.count - 1)]) / 1000)
      #expect(
        value.map { $0 >= low * 0.99 && $0 <= high * 1.01 } == true, "\(name) of \(powers.count): \(value ?? .nan)")
    }
  }

  @Test(
    "rows that come late, in any parts, lead to what they would have led to in time", arguments: [21] as [UInt64])
  func lateRows(seed: UInt64) throws {
    let seed = SeededRandom(default: seed).seed
    var random = SeededRandom(seed: seed)
    let rows = TierRows(seed: seed, seconds: Self.seconds)
    let folder = try TemporaryDirectory()
    let whole = try Self.keeper(folder.path + "/whole.sqlite", rows)
    try Self.note(whole, 1, rows.minutes())
    try Self.work(whole)
    let want = try Self.content(whole.store)

    let late = Set(TierFleet.names.shuffled(using: &random).prefix(3))
    let from = TierFleet.start + Int64.random(in: 0...120_000, using: &random)
    let until = from + Int64.random(in: 60_000...240_000, using: &random)
    func isLate(_ entry: TierRows.Entry) -> Bool {
      late.contains(entry.node.name) && entry.tick > from && entry.tick <= until
    }
    rows.show { !isLate($0) }
    let keeper = try Self.keeper(folder.path + "/late.sqlite", rows)
    try Self.note(keeper, 1, rows.minutes())
    try Self.work(keeper)
    #expect(try Self.content(keeper.store) != want, "seed \(seed)")
    // The second half of what is late comes first.
    for (record, bound) in [(UInt64(2), (from + until) / 2), (3, from)] {
      rows.show { !isLate($0) || $0.tick > bound }
      try Self.note(keeper, record, rows.minutes { isLate($0) && $0.tick > bound })
      try Self.work(keeper)
    }
    let got = try Self.content(keeper.store)
    let different = Set(got.keys).union(want.keys).filter { got[$0] != want[$0] }.sorted()
    #expect(different.isEmpty, "seed \(seed): \(different.count) series, \(different.first ?? "")")
    // The last row of a slow node counts in the minute that is not over yet.
    #expect(try keeper.store.dirtyMinutes().allSatisfy { $0.minute > Self.closed.unixMilliseconds })
  }

  @Test(
    "a keeper that is begun anew after any minute, and told things twice, ends with the same",
    arguments: [31] as [UInt64])
  func crashes(seed: UInt64) throws {
    let seed = SeededRandom(default: seed).seed
    var random = SeededRandom(seed: seed)
    let rows = TierRows(seed: seed, seconds: Self.seconds)
    let folder = try TemporaryDirectory()
    let whole = try Self.keeper(folder.path + "/whole.sqlite", rows)
    try Self.note(whole, 1, rows.minutes())
    try Self.work(whole)
    let want = try Self.content(whole.store)
    let minutes = rows.minutes().sorted()
    for minute in minutes {
      let keeper = try Self.keeper(folder.path + "/torn.sqlite", rows)
      rows.show { $0.tick <= minute }
      try Self.note(keeper, UInt64(minute), rows.minutes { $0.tick > minute - 90_000 })
      let closed = Tick(unixMilliseconds: min(minute, Self.closed.unixMilliseconds))
      _ = try keeper.work(closedThrough: closed, now: Self.later, minutesMax: Int.random(in: 0...3, using: &random))
    }
    let keeper = try Self.keeper(folder.path + "/torn.sqlite", rows)
    rows.show { _ in true }
    try Self.work(keeper)
    let got = try Self.content(keeper.store)
    let different = Set(got.keys).union(want.keys).filter { got[$0] != want[$0] }.sorted()
    #expect(different.isEmpty, "seed \(seed): \(different.count) series, \(different.first ?? "")")
  }

  @Test("before the first closed tick after a start nothing new is formed, and what is late is")
  func nothingClosed() throws {
    let rows = TierRows(seed: 17, seconds: Self.seconds)
    let folder = try TemporaryDirectory()
    let keeper = try Self.keeper(folder.path + "/tiers.sqlite", rows)
    #expect(try keeper.work(closedThrough: nil, now: Self.later) == 0, "nothing is known yet")
    try Self.note(keeper, 1, rows.minutes())
    #expect(try keeper.work(closedThrough: nil, now: Self.later) == 0)
    try Self.work(keeper)
    let oldest = try #require(rows.minutes().min())
    try Self.note(keeper, 2, [oldest])
    #expect(try keeper.work(closedThrough: nil, now: Self.later) == 1)
  }

  @Test("a flipped byte in a row loses that row, is counted, and is never a number")
  func damage() throws {
    let rows = TierRows(seed: 41, seconds: Self.seconds)
    let folder = try TemporaryDirectory()
    let path = folder.path + "/tiers.sqlite"
    let keeper = try Self.keeper(path, rows)
    try Self.note(keeper, 1, rows.minutes())
    try Self.work(keeper)
    let want = try Self.content(keeper.store)
    try keeper.store.database.write { db in
      try db.execute(
        sql: "UPDATE rows SET body = CAST(substr(body, 1, length(body) - 1) || x'5A' AS BLOB) WHERE id % 3 = 0")
      try db.execute(
        sql: "UPDATE fresh SET body = CAST(substr(body, 1, length(body) - 1) || x'5A' AS BLOB) WHERE id % 5 = 0")
    }
    let store = try TierStore(path: path)
    let got = try Self.content(store)
    #expect(store.damagedRows > 0)
    #expect(got != want)
    for (name, values) in got where !name.hasPrefix("hour") && !name.hasPrefix("quarterHour") {
      for (end, value) in values { #expect(want[name]?[end] == value, "\(name) at \(end)") }
    }
  }
}
