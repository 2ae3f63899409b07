import BongsuFleet
import BongsuModel
import BongsuRollup
import BongsuTestKit
import GRDB
import Synchronization
import Testing

@testable import BongsuStore

@Suite("The past under a changed fleet file")
struct RestatementTests {
  private static let seed = SeededRandom(default: 61).seed
  /// The owner's racks went to the other holder, and were his all along.
  private static let changed: RollupPlan = {
    let text = TierFleet.text.replacing("path: owner", with: "path: buyer")
    let file = FleetFile(text: text, path: "changed.yaml")
    guard let tree = file.tree else { fatalError("\(file.findings)") }
    return RollupPlan(tree)
  }()

  private static func fleet(_ name: UInt8) -> TierKeeper.Fleet {
    TierKeeper.Fleet(name == 1 ? TierFleet.plan : changed, bytes: [name]) { bytes in
      guard let first = bytes.first, first <= 2 else { throw PackedIntegersUnreadable(offset: 0) }
      return first == 1 ? TierFleet.plan : changed
    }
  }

  private static func keeper(_ path: String, _ rows: TierRows, fleet name: UInt8) throws -> TierKeeper {
    TierKeeper(store: try TierStore(path: path), fleet: fleet(name), rows: rows.source)
  }

  /// Counts, energy and totals of power: enough to tell whose a node was.
  private static func content(_ store: TierStore) throws -> [String: [Int64: Double]] {
    try TierKeeperTests.content(
      store,
      RollupSeries.all.filter {
        $0.operation == "reporting" || $0.operation == "increase" || $0.metric == "bongsu_power_total_watts"
      })
  }

  /// The same in windows up to a minute whose ends lie in a span.
  private static func minutes(_ store: TierStore, in span: ClosedRange<Int64>) throws -> [String: [Int64: Double]] {
    var content = try Self.content(store)
    for (name, values) in content {
      let isShort = ["second ", "tenSeconds ", "minute "].contains { name.hasPrefix($0) }
      let kept = isShort ? values.filter { span.contains($0.key) } : [:]
      content[name] = kept.isEmpty ? nil : kept
    }
    return content
  }

  @Test("a changed file rewrites nothing by itself, also where rows come late; a restatement does, from its day on")
  func restatement() throws {
    let folder = try TemporaryDirectory()
    let rows = TierRows(seed: Self.seed, seconds: TierKeeperTests.seconds)
    let (start, end) = (TierFleet.start, TierKeeperTests.closed.unixMilliseconds)
    // What each fleet alone makes of all rows.
    var alone: [UInt8: TierStore] = [:]
    for name in [1, 2] as [UInt8] {
      let keeper = try Self.keeper("\(folder.path)/alone-\(name).sqlite", rows, fleet: name)
      try TierKeeperTests.note(keeper, 1, rows.minutes())
      try TierKeeperTests.work(keeper)
      alone[name] = keeper.store
    }
    let old = try #require(alone[1])
    let new = try #require(alone[2])
    #expect(try Self.minutes(old, in: start...end) != Self.minutes(new, in: start...end))

    // Four minutes come under the old file, some of their rows late and after the file has changed.
    let changedAt = start + 240_000
    func isLate(_ entry: TierRows.Entry) -> Bool {
      entry.node.name == "east-a-r2-n1" && entry.tick > start + 60_000 && entry.tick <= start + 150_000
    }
    let path = "\(folder.path)/both.sqlite"
    rows.show { $0.tick <= changedAt && !isLate($0) }
    let before = try Self.keeper(path, rows, fleet: 1)
    try TierKeeperTests.note(before, 1, rows.minutes())
    try TierKeeperTests.work(before, closed: Tick(unixMilliseconds: changedAt))
    rows.show { _ in true }
    let after = try Self.keeper(path, rows, fleet: 2)
    try TierKeeperTests.note(after, 2, rows.minutes { isLate($0) || $0.tick > changedAt })
    try TierKeeperTests.work(after)
    let first = (start + 1)...changedAt
    let rest = (changedAt + 1)...end
    #expect(try Self.minutes(after.store, in: first) == Self.minutes(old, in: first), "the past was rewritten")
    #expect(try Self.minutes(after.store, in: rest) == Self.minutes(new, in: rest))

    // From the third minute on.
    let from = Tick(unixMilliseconds: start + 120_000)
    var told: Int?
    #expect(throws: CancellationError.self) {
      try after.restate(from: from) { _ in throw CancellationError() }
    }
    #expect(try after.store.dirtyMinutes().allSatisfy { !$0.restates }, "it was not sure")
    #expect(try after.restate(from: from) { told = $0 } == 2)
    #expect(told == 2)
    try TierKeeperTests.work(after)
    let kept = (start + 1)...(start + 120_000)
    let restated = (start + 120_001)...end
    #expect(try Self.minutes(after.store, in: kept) == Self.minutes(old, in: kept))
    #expect(try Self.minutes(after.store, in: restated) == Self.minutes(new, in: restated))
    #expect(try after.restate(from: from) == 0, "nothing is left")
    #expect(try after.restate(from: Tick(unixMilliseconds: 0)) == 2)
    try TierKeeperTests.work(after)
    #expect(try Self.content(after.store) == Self.content(new))
    // And back again.
    let again = try Self.keeper(path, rows, fleet: 1)
    #expect(try again.restate(from: Tick(unixMilliseconds: 0)) == TierKeeperTests.seconds / 60)
    try TierKeeperTests.work(again)
    #expect(try Self.content(again.store) == Self.content(old))
  }

  @Test("minutes whose rows are gone stay as they are, and fleets that no minute needs go")
  func gone() throws {
    let folder = try TemporaryDirectory()
    let rows = TierRows(seed: Self.seed, seconds: TierKeeperTests.seconds)
    let path = "\(folder.path)/tiers.sqlite"
    let before = try Self.keeper(path, rows, fleet: 1)
    try TierKeeperTests.note(before, 1, rows.minutes())
    try TierKeeperTests.work(before)
    let after = try Self.keeper(path, rows, fleet: 2)
    try after.store.noteRawRemoved(through: TierFleet.start + 180_000)
    #expect(try after.restate(from: Tick(unixMilliseconds: 0)) == TierKeeperTests.seconds / 60 - 3)
    try TierKeeperTests.work(after)
    func fleets() throws -> [Int64] {
      try after.store.database.read { db in try Int64.fetchAll(db, sql: "SELECT number FROM fleets ORDER BY number") }
    }
    #expect(try fleets() == [1, 2])
    try after.store.thinCarries(newest: TierKeeperTests.closed.unixMilliseconds, fleet: 2)
    #expect(try fleets() == [2], "no minute of the first can be formed again")
  }

  @Test("a minute of which raw rows are lost stays as it was formed of all, is counted, and told once for its hour")
  func damagedHour() throws {
    let folder = try TemporaryDirectory()
    let rows = TierRows(seed: Self.seed, seconds: TierKeeperTests.seconds)
    let path = "\(folder.path)/tiers.sqlite"
    let before = try Self.keeper(path, rows, fleet: 1)
    try TierKeeperTests.note(before, 1, rows.minutes())
    try TierKeeperTests.work(before)
    let old = try Self.content(before.store)
    // Of the hour that begins after two minutes half of the nodes are lost.
    let hour = TierFleet.start + 120_000
    let lossy: TierKeeper.RowSource = { selection, body in
      var losses = try rows.source(selection) { run in
        run.ticks[0].unixMilliseconds > hour && run.node.name.hasPrefix("east") ? true : try body(run)
      }
      if selection.ticks.upperBound.unixMilliseconds > hour {
        losses.damage = ["chunk 1 of east"]
        losses.hasLostRows = true
      }
      return losses
    }
    let told = Mutex<[String]>([])
    let after = TierKeeper(
      store: try TierStore(path: path), fleet: Self.fleet(2),
      stays: { minute, losses in
        told.withLock { $0.append("\((minute.unixMilliseconds - hour) / 60_000) \(losses.damage)") }
      }, rows: lossy)
    let all = TierKeeperTests.seconds / 60
    #expect(try after.restate(from: Tick(unixMilliseconds: 0)) == all)
    try TierKeeperTests.work(after)
    let lost = (hour + 1)...TierKeeperTests.closed.unixMilliseconds
    func short(_ content: [String: [Int64: Double]], _ span: ClosedRange<Int64>) -> [String: [Int64: Double]] {
      content.filter { !$0.key.hasPrefix("quarterHour") && !$0.key.hasPrefix("hour") }
        .mapValues { $0.filter { span.contains($0.key) } }.filter { !$0.value.isEmpty }
    }
    let new = try Self.content(after.store)
    #expect(short(new, lost) == short(old, lost), "what was right was replaced")
    #expect(short(new, 0...hour) != short(old, 0...hour), "what is whole was not restated")
    #expect(after.store.stayingMinutes >= all - 2)
    #expect(told.withLock { $0 } == ["1 [\"chunk 1 of east\"]"])
    #expect(try after.store.dirtyMinutes().allSatisfy { $0.minute > TierKeeperTests.closed.unixMilliseconds })

    // What was never formed is formed of what is left, and nothing stays.
    let fresh = TierKeeper(
      store: try TierStore(path: "\(folder.path)/fresh.sqlite"), fleet: Self.fleet(2),
      stays: { minute, _ in Issue.record("\(minute) stays") }, rows: lossy)
    try TierKeeperTests.note(fresh, 1, rows.minutes())
    try TierKeeperTests.work(fresh)
    #expect(fresh.formedMinutes >= all && fresh.store.stayingMinutes == 0)
  }

  @Test("a kept fleet that is damaged, or that this release cannot read, leaves the present one")
  func damagedFleet() throws {
    let folder = try TemporaryDirectory()
    let rows = TierRows(seed: Self.seed, seconds: TierKeeperTests.seconds)
    let path = "\(folder.path)/tiers.sqlite"
    let before = try Self.keeper(path, rows, fleet: 1)
    try TierKeeperTests.note(before, 1, rows.minutes())
    try TierKeeperTests.work(before)
    try before.store.database.write { db in try db.execute(sql: "UPDATE fleets SET body = x'03'") }
    #expect(try before.store.problems() == ["1 entries of fleets are damaged"])
    let after = try Self.keeper(path, rows, fleet: 2)
    let minute = try #require(rows.minutes().min())
    try TierKeeperTests.note(after, 2, [minute])
    try TierKeeperTests.work(after)
    #expect(after.store.damagedRows > 0)
    #expect(try after.store.fleet(ofMinute: minute) == after.store.fleetNumber([2]))
  }

  @Test(
    "a file of an earlier version is taken over; by which fleet its minutes were formed is not known to the first",
    arguments: [1, 2])
  func upgrade(version: Int) throws {
    let folder = try TemporaryDirectory()
    let rows = TierRows(seed: Self.seed, seconds: TierKeeperTests.seconds)
    let path = "\(folder.path)/tiers.sqlite"
    do {
      let keeper = try Self.keeper(path, rows, fleet: 1)
      try TierKeeperTests.note(keeper, 1, rows.minutes())
      try TierKeeperTests.work(keeper)
      try EarlierTiers.takeBack(keeper.store, to: version)
    }
    let (_, isMended) = try TierStore.mended(path: path) { Issue.record("\($0)") }
    #expect(!isMended)
    let keeper = try Self.keeper(path, rows, fleet: 2)
    #expect(try keeper.store.problems().isEmpty)
    let minute = try #require(rows.minutes().min())
    #expect(try keeper.store.fleet(ofMinute: minute) == (version == 1 ? 0 : 1))
    #expect(try keeper.store.fleet(1) == (version == 1 ? nil : [1]))
    #expect(try keeper.restate(from: Tick(unixMilliseconds: 0)) == TierKeeperTests.seconds / 60)
    try TierKeeperTests.work(keeper)
    let other = try Self.keeper("\(folder.path)/other.sqlite", rows, fleet: 2)
    try TierKeeperTests.note(other, 1, rows.minutes())
    try TierKeeperTests.work(other)
    #expect(try Self.content(keeper.store) == Self.content(other.store))
  }
}
