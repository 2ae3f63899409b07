import BongsuModel
import BongsuRollup
import BongsuTestKit
import GRDB
import Testing

@testable import BongsuStore

@Suite("Rollups after damage")
struct TierCareTests {
  private static let seconds = 240
  private static var closed: Tick { Tick(unixMilliseconds: TierFleet.start + Int64(seconds) * 1000) }

  /// A file of some minutes, all formed by the fleet of the bytes 1.
  private static func stored(_ path: String, _ rows: TierRows) throws -> TierStore {
    let store = try TierStore(path: path)
    let fleet = TierKeeper.Fleet(TierFleet.plan, bytes: [1]) { _ in TierFleet.plan }
    let keeper = TierKeeper(store: store, fleet: fleet, rows: rows.source)
    try TierKeeperTests.note(keeper, 1, rows.minutes())
    try TierKeeperTests.work(keeper, closed: closed)
    return store
  }

  /// Opens a file as a start does; what it says, and whether it was made anew.
  private static func start(_ path: String) throws -> (store: TierStore, isMended: Bool, said: [String]) {
    var said: [String] = []
    let (store, isMended) = try TierStore.mended(path: path) { said.append($0) }
    return (store, isMended, said)
  }

  @Test("the names of groups that are lost are told once, and their numbers are not given to others")
  func lostNames() throws {
    let folder = try TemporaryDirectory()
    let path = "\(folder.path)/tiers.sqlite"
    let level = TierLevel.rollup(.factory)
    var count = 0
    do {
      let store = try Self.stored(path, TierRows(seed: 71, seconds: Self.seconds))
      count = store.count(level)
      try #require(count > 1)
      try store.database.write { db in
        try db.execute(sql: "DELETE FROM groups WHERE level = ? AND number = 0", arguments: [level.code])
      }
    }
    let first = try Self.start(path)
    #expect(first.isMended && first.said.count == 1 && first.said[0].contains("the names of 1 groups"), "\(first.said)")
    #expect(try first.store.numbers(level, ["factory=new"]) == [count])
    let second = try Self.start(path)
    #expect(!second.isMended && second.said.isEmpty, "\(second.said)")
    #expect(try second.store.numbers(level, ["factory=newer"]) == [count + 1])
  }

  @Test("a lost window of a longer tier is made again with the minutes of its hour, though the shorter ones are there")
  func lostWindow() throws {
    let folder = try TemporaryDirectory()
    let rows = TierRows(seed: 76, seconds: Self.seconds)
    let store = try Self.stored("\(folder.path)/tiers.sqlite", rows)
    let content = try TierKeeperTests.content(store)
    let hour = TierFleet.start + 120_000
    try store.database.write { db in
      for kind in [TierKind.minutes, .quarterHours, .hours] {
        try db.execute(
          sql: "DELETE FROM rows WHERE id >> 60 = ? AND id & ? = ?",
          arguments: [kind.rawValue, 1 << 30 - 1, hour / kind.unit])
        #expect(db.changesCount > 0, "\(kind) of the hour is packed")
      }
    }
    #expect(try TierKeeperTests.content(store) != content)
    let keeper = TierKeeper(
      store: store, fleet: TierKeeper.Fleet(TierFleet.plan, bytes: [1]) { _ in TierFleet.plan }, rows: rows.source)
    try TierKeeperTests.note(keeper, 2, rows.minutes { $0.tick <= hour })
    try TierKeeperTests.work(keeper, closed: Self.closed)
    #expect(try TierKeeperTests.content(store) == content)
  }

  @Test("a file of the present version that lost its trees has all of its rows again")
  func lostTrees() throws {
    let folder = try TemporaryDirectory()
    let path = "\(folder.path)/tiers.sqlite"
    let content: [String: [Int64: Double]]
    let asked: [Int64]
    do {
      let store = try Self.stored(path, TierRows(seed: 72, seconds: Self.seconds))
      // Restated by a fleet that was given a number before.
      let number = try store.fleetNumber([2])
      #expect(try store.restate(from: Tick(unixMilliseconds: 0), fleet: number) > 0)
      asked = try store.dirtyMinutes().filter(\.restates).map(\.minute)
      content = try TierKeeperTests.content(store)
      // SQLite finds no table any more.
      try store.database.write { db in
        try db.execute(sql: "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema; PRAGMA writable_schema = OFF")
      }
    }
    let started = try Self.start(path)
    #expect(started.isMended && started.said.count == 1, "\(started.said)")
    #expect(try TierKeeperTests.content(started.store) == content)
    #expect(try started.store.dirtyMinutes().filter(\.restates).map(\.minute) == asked)
    #expect(try started.store.fleetNumber([1]) == 1)
    #expect(try started.store.fleetNumber([2]) == 2)
    #expect(try started.store.fleet(ofMinute: asked[0]) == 1)
    #expect(try started.store.problems().isEmpty)
  }

  @Test("the number of a fleet that is lost is not given to another; a lost minute keeps the fleet of the one before")
  func lostFleet() throws {
    let folder = try TemporaryDirectory()
    let store = try Self.stored("\(folder.path)/tiers.sqlite", TierRows(seed: 73, seconds: Self.seconds))
    let minutes = try store.storedMinutes(0...Int64.max)
    try #require(minutes.count > 3)
    try store.database.write { db in
      try db.execute(sql: "DELETE FROM fleets")
      try db.execute(sql: "DELETE FROM minutes WHERE minute = ?", arguments: [minutes[1]])
    }
    #expect(try store.fleetNumber([2]) == 2)
    #expect(try store.fleetNumber([2]) == 2)
    #expect(try store.fleet(ofMinute: minutes[1]) == 1)
    #expect(try store.fleet(ofMinute: minutes[0] - 60_000) == nil)
    #expect(try store.fleet(ofMinute: minutes[minutes.count - 1] + 60_000) == nil)
    try store.database.write { db in
      try db.execute(sql: "UPDATE minutes SET fleet = 2 WHERE minute = ?", arguments: [minutes[0]])
    }
    #expect(throws: StoreError.self) { try store.fleet(ofMinute: minutes[0]) }
  }

  @Test("a mark that another one meets stays a restatement, and is not taken when it is not what was written")
  func marks() throws {
    let folder = try TemporaryDirectory()
    let store = try Self.stored("\(folder.path)/tiers.sqlite", TierRows(seed: 74, seconds: Self.seconds))
    let minutes = try store.storedMinutes(0...Int64.max)
    let now = Tick(unixMilliseconds: 90)
    try store.note(shard: 0, through: 2, minutes: [minutes[0], minutes[1]], now: now)
    #expect(try store.restate(from: Tick(unixMilliseconds: minutes[1] - 1), fleet: 7) == minutes.count - 1)
    try store.note(shard: 0, through: 3, minutes: [minutes[1]], now: now)
    // A slow node asks for the minute to come, too.
    let dirty = try store.dirtyMinutes().filter { minutes.contains($0.minute) }
    #expect(dirty.map(\.minute) == minutes)
    #expect(dirty.map(\.restates) == minutes.map { $0 != minutes[0] })
    #expect(dirty.map(\.since) == minutes.map { $0 == minutes[0] ? 90 : 0 })
    try store.database.write { db in
      try db.execute(sql: "UPDATE dirty SET restates = 1 WHERE minute = ?", arguments: [minutes[0]])
    }
    #expect(throws: StoreError.self) { try store.dirtyMinutes() }
    #expect(throws: StoreError.self) { try store.note(shard: 0, through: 4, minutes: [minutes[0]], now: now) }
    #expect(try store.problems() == ["1 entries of dirty are damaged"])
  }

  @Test("a damaged file of an earlier version is begun anew, and has what raw history makes", arguments: [1, 2])
  func earlier(version: Int) throws {
    let folder = try TemporaryDirectory()
    let path = "\(folder.path)/tiers.sqlite"
    let rows = TierRows(seed: 75, seconds: Self.seconds)
    let content: [String: [Int64: Double]]
    do {
      let store = try Self.stored(path, rows)
      content = try TierKeeperTests.content(store)
      try EarlierTiers.takeBack(store, to: version)
      try store.database.write { db in try db.execute(sql: "DELETE FROM groups WHERE number = 0") }
    }
    let started = try Self.start(path)
    #expect(started.isMended && started.said.count == 1 && started.said[0].contains(" 0 sound rows"), "\(started.said)")
    #expect(try started.store.newestMinute() == nil)
    #expect(try started.store.noted(shard: 0) == 0)
    let keeper = TierKeeper(store: started.store, plan: TierFleet.plan, rows: rows.source)
    try TierKeeperTests.note(keeper, 1, rows.minutes())
    try TierKeeperTests.work(keeper, closed: Self.closed)
    #expect(try TierKeeperTests.content(started.store) == content)
  }
}
