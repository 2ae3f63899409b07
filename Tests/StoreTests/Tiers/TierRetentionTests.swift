import BongsuModel
import BongsuRollup
import BongsuTestKit
import GRDB
import Synchronization
import Testing

@testable import BongsuStore

@Suite("Retention of stored tiers")
struct TierRetentionTests {
  /// 2026-01-01T00:00:00Z, within the rows of the fleet.
  static let hour = TierFleet.start + 120_000

  static func stored(_ folder: TemporaryDirectory, _ rows: TierRows, minutes: Set<Int64>? = nil) throws -> TierKeeper {
    let keeper = try TierKeeperTests.keeper(folder.path + "/tiers.sqlite", rows)
    try TierKeeperTests.note(keeper, 1, minutes ?? rows.minutes())
    try TierKeeperTests.work(keeper)
    return keeper
  }

  /// Bytes by kind as a count of everything finds them.
  static func counted(_ store: TierStore) throws -> [Int64: Int64] {
    try store.database.read { db in
      var bytes: [Int64: Int64] = [:]
      for row in try Row.fetchAll(
        db,
        sql: """
          SELECT id >> 60 AS kind, length(body) AS bytes FROM rows
          UNION ALL SELECT 8, length(body) FROM fresh UNION ALL SELECT 8, length(body) FROM carries
          """)
      {
        bytes[row["kind"], default: 0] += row["bytes"] as Int64
      }
      return bytes
    }
  }

  static func sizes(_ store: TierStore) throws -> [Int64: Int64] {
    try store.database.read { db in
      Dictionary(
        uniqueKeysWithValues: try Row.fetchAll(db, sql: "SELECT kind, bytes FROM sizes WHERE bytes > 0")
          .map { ($0["kind"] as Int64, $0["bytes"] as Int64) })
    }
  }

  @Test("what is removed is given back to the file system, but for some pages that new rows take")
  func shrinks() throws {
    let folder = try TemporaryDirectory()
    let store = try Self.stored(folder, TierRows(seed: 57, seconds: 120)).store
    let content = try TierKeeperTests.content(store)
    // Of a group that there is not.
    let first = Int64(1) << 59
    try store.database.write { db in
      for number in 0..<2000 {
        try db.execute(
          sql: "INSERT INTO rows (id, body, checksum) VALUES (?, zeroblob(4000), 0)", arguments: [first + Int64(number)]
        )
      }
    }
    let full = try store.usage()
    #expect(full.file > 8_000_000 && full.free < 100_000)
    #expect(try !store.shrink(), "nothing is free")
    try store.database.write { db in
      try db.execute(sql: "DELETE FROM rows WHERE id BETWEEN ? AND ?", arguments: [first, first + 2000])
    }
    var steps = 0
    while try store.shrink() { steps += 1 }
    #expect(steps > 1, "a step is bounded")
    #expect(try store.database.checkpoint())
    let left = try store.usage()
    #expect(left.file < full.file / 4 && left.free <= 300 * 4096, "\(left)")
    #expect(try store.problem() == nil && TierKeeperTests.content(store) == content)
  }

  @Test("each tier goes by its own age in whole hours, and what is left is untouched", arguments: Tier.allCases)
  func age(tier: Tier) throws {
    let rows = TierRows(seed: 51, seconds: 240)
    let folder = try TemporaryDirectory()
    let keeper = try Self.stored(folder, rows)
    let before = try TierKeeperTests.content(keeper.store)
    #expect(try Self.sizes(keeper.store) == Self.counted(keeper.store))
    let retention = TierRetention(keptMilliseconds: [tier: 1_000_000])
    // Not a whole hour yet, then one.
    #expect(try keeper.store.expire(retention, now: Tick(unixMilliseconds: Self.hour + 999_000)) == 0)
    #expect(try keeper.store.expire(retention, now: Tick(unixMilliseconds: Self.hour + 1_000_000)) > 0)
    #expect(try keeper.store.expire(retention, now: Tick(unixMilliseconds: Self.hour + 1_000_000)) == 0)
    let after = try TierKeeperTests.content(keeper.store)
    var removed = 0
    for (name, values) in before {
      let isCut = name.hasPrefix("\(tier) ")
      let left = values.filter { !isCut || $0.key > Self.hour }
      removed += values.count - left.count
      #expect(after[name] ?? [:] == left, "\(name)")
    }
    #expect(removed > 0)
    #expect(try Self.sizes(keeper.store) == Self.counted(keeper.store))
    #expect(try keeper.store.oldest(tier)?.unixMilliseconds == Self.hour)
    let other: Tier = tier == .hour ? .second : .hour
    #expect(try keeper.store.oldest(other)?.unixMilliseconds == TierFleet.start)
  }

  @Test("where there is too much, the oldest hours of the finest tier go first, and what is being packed stays")
  func bytes() throws {
    let rows = TierRows(seed: 52, seconds: 240)
    let folder = try TemporaryDirectory()
    let keeper = try Self.stored(folder, rows, minutes: rows.minutes().union([Self.hour + 3 * 3_600_000]))
    while try keeper.work(
      closedThrough: Tick(unixMilliseconds: Self.hour + 3 * 3_600_000), now: TierKeeperTests.later) > 0
    {}
    let total = try keeper.store.usage().total
    let now = TierKeeperTests.later
    #expect(try keeper.store.expire(TierRetention(bytesMax: total), now: now) == 0)
    #expect(try keeper.store.expire(TierRetention(bytesMax: total - 1), now: now) == 1)
    #expect(try keeper.store.floor(of: .second) == Self.hour)
    #expect(try keeper.store.floor(of: .tenSeconds) == nil)
    while try keeper.store.expire(TierRetention(bytesMax: 0), now: now) > 0 {}
    for tier in Tier.allCases {
      #expect(try keeper.store.floor(of: tier) == Self.hour + 3_600_000, "\(tier)")
    }
    #expect(try Self.sizes(keeper.store) == Self.counted(keeper.store))
  }

  @Test("rows that come later than a tier is kept change nothing, and minutes after it are right")
  func lateBeyond() throws {
    let rows = TierRows(seed: 53, seconds: 240)
    let folder = try TemporaryDirectory()
    let whole = try TierKeeperTests.keeper(folder.path + "/whole.sqlite", rows)
    try TierKeeperTests.note(whole, 1, rows.minutes())
    try TierKeeperTests.work(whole)
    let want = try TierKeeperTests.content(whole.store)

    let late = TierFleet.names[0]
    rows.show { $0.node.name != late }
    let keeper = try Self.stored(folder, rows)
    let retention = TierRetention(keptMilliseconds: [.second: 1_000_000])
    try keeper.store.expire(retention, now: Tick(unixMilliseconds: Self.hour + 1_000_000))
    #expect(keeper.store.lateFloor == Self.hour)
    let before = try TierKeeperTests.content(keeper.store)
    rows.show { _ in true }
    try TierKeeperTests.note(keeper, 2, rows.minutes { $0.node.name == late })
    try TierKeeperTests.work(keeper)
    #expect(keeper.refusedMinutes == 2)
    let after = try TierKeeperTests.content(keeper.store)
    let name = "minute nation:bongsu_gpu_power_watts:sum \(TierFleet.plan.labels(.nation, 0))"
    #expect(after[name]?.filter { $0.key <= Self.hour } == before[name]?.filter { $0.key <= Self.hour })
    #expect(after[name]?.filter { $0.key > Self.hour } == want[name]?.filter { $0.key > Self.hour })
  }

  @Test("raw rows that are removed while a minute is formed again do not take anything from it")
  func rawRemovedMeanwhile() throws {
    let rows = TierRows(seed: 54, seconds: 240)
    let folder = try TemporaryDirectory()
    let path = folder.path + "/tiers.sqlite"
    do { _ = try Self.stored(folder, rows) }
    let store = try TierStore(path: path)
    let want = try TierKeeperTests.content(store)
    let isGone = Atomic(false)
    let keeper = TierKeeper(store: store, plan: TierFleet.plan) { selection, body in
      if selection.ticks.upperBound.unixMilliseconds == Self.hour,
        isGone.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged
      {
        // First the note, then the file; of the rows only some have been read.
        try store.noteRawRemoved(through: Self.hour)
        return RawLosses()
      }
      return try rows.source(selection, body)
    }
    try TierKeeperTests.note(keeper, 2, [Self.hour])
    try TierKeeperTests.work(keeper)
    let wasGone = isGone.load(ordering: .relaxed)
    #expect(wasGone)
    #expect(try TierKeeperTests.content(store) == want)
    #expect(try store.dirtyCount() == 0)
    // It outlives a restart.
    #expect(try TierStore(path: path).rawRemoved() == Self.hour)
    #expect(try TierStore(path: path).lateFloor == Self.hour)
  }

  @Test("a file that is begun anew forms what raw history has, once")
  func existing() throws {
    let rows = TierRows(seed: 55, seconds: 240)
    let folder = try TemporaryDirectory()
    let keeper = try TierKeeperTests.keeper(folder.path + "/tiers.sqlite", rows)
    let hours = [Self.hour - 3_600_000, Self.hour]
    try keeper.store.noteExisting(hours: hours, now: Tick(unixMilliseconds: 0))
    #expect(try keeper.store.dirtyCount() == 120)
    let closed = Tick(unixMilliseconds: TierFleet.start + 240_000)
    try TierKeeperTests.work(keeper, closed: closed)
    let whole = try TierKeeperTests.keeper(folder.path + "/whole.sqlite", rows)
    try TierKeeperTests.note(whole, 1, rows.minutes())
    try TierKeeperTests.work(whole, closed: closed)
    let prefix = "minute factory:"
    let want = try TierKeeperTests.content(whole.store).filter { $0.key.hasPrefix(prefix) }
      .mapValues { $0.filter { $0.value != 0 } }.filter { !$0.value.isEmpty }
    let got = try TierKeeperTests.content(keeper.store).filter { $0.key.hasPrefix(prefix) }
      .mapValues { $0.filter { $0.value != 0 && $0.key > TierFleet.start } }.filter { !$0.value.isEmpty }
    for (name, values) in want where name.contains("gpu_power_watts") { #expect(got[name] == values, "\(name)") }
    try keeper.store.noteExisting(hours: hours, now: Tick(unixMilliseconds: 0))
    #expect(try keeper.store.dirtyCount() <= 120 - 4)
  }
}
