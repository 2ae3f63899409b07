public import BongsuModel
public import BongsuRollup
internal import BongsuThreads
internal import GRDB

/// How long each tier is kept, and how many bytes all of them may have.
public struct TierRetention: Hashable, Sendable {
  /// Milliseconds by tier; a tier that is not named is kept for good.
  public var keptMilliseconds: [Tier: Int64]
  /// Where all tiers together have more, the oldest hours of the finest go first.
  public var bytesMax: Int64

  public init(keptMilliseconds: [Tier: Int64] = [:], bytesMax: Int64 = .max) {
    self.keptMilliseconds = keptMilliseconds
    self.bytesMax = bytesMax
  }
}

/// What one kind of row takes in a ``TierStore``.
public struct TierUsage: Hashable, Sendable {
  /// Bytes of the tiers' rows, without what SQLite adds.
  public var tiers: [Tier: Int64] = [:]
  /// Bytes of quantile sketches.
  public var sketches: Int64 = 0
  /// Bytes of the last hours, not packed by tier yet, and of what minutes leave to the next ones.
  public var other: Int64 = 0
  /// Bytes that are removed and free for new rows, as part of ``file``.
  public var free: Int64 = 0
  /// Bytes of the file and its write-ahead log.
  public var file: Int64 = 0

  public var total: Int64 { tiers.values.reduce(sketches + other, +) }
}

extension TierStore {
  /// Hours of one tier that one transaction removes.
  static let expiryStepMilliseconds: Int64 = 3_600_000

  /// Removes hours that are too old or too much, each in one transaction with the note that they are gone.
  ///
  /// - Parameters:
  ///   - fleet: the present one, which stays.
  ///   - stepsMax: how many hours of tiers are removed at most.
  /// - Returns: how many were; as many as `stepsMax`: more may be left.
  @discardableResult
  func expire(_ retention: TierRetention, now: Tick, fleet: Int64 = 0, stepsMax: Int = 48) throws(StoreError) -> Int {
    var steps = 0
    guard let oldest = try oldestEnd(), let newest = try newestMinute()?.unixMilliseconds else { return 0 }
    for tier in Tier.allCases {
      guard let kept = retention.keptMilliseconds[tier] else { continue }
      let bound =
        min(now.unixMilliseconds - kept, newest).flooredDivision(by: Self.expiryStepMilliseconds)
        * Self.expiryStepMilliseconds
      var floor = try self.floor(of: tier) ?? Self.hour(before: oldest)
      while floor < bound, steps < stepsMax {
        floor += Self.expiryStepMilliseconds
        try remove(tier, through: floor)
        steps += 1
      }
    }
    while steps < stepsMax, try usage().total > retention.bytesMax, let (tier, end) = try finestOldest(newest) {
      try remove(tier, through: end)
      steps += 1
    }
    if steps > 0 { try thinCarries(newest: newest, fleet: fleet) }
    return steps
  }

  /// Gives some of what was removed back to the file system; `false` when little is left to give. Some stays for new rows.
  @discardableResult
  func shrink() throws(StoreError) -> Bool {
    let (free, pages, canShrink) = try database.read { db in
      (
        try Int.fetchOne(db, sql: "PRAGMA freelist_count") ?? 0, try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0,
        try Int.fetchOne(db, sql: "PRAGMA auto_vacuum") == 2
      )
    }
    let kept = max(Self.freePagesMin, pages / 10)
    guard canShrink, free > kept else { return false }
    try database.shrink(pages: min(free - kept, Self.shrinkPagesMax))
    return true
  }

  /// Unused pages that always stay, and pages that one step moves: some milliseconds of writing.
  private static let freePagesMin = 256
  private static let shrinkPagesMax = 1024

  /// The finest tier that has a whole hour before the running one, and the end of its oldest hour.
  private func finestOldest(_ newest: Int64) throws(StoreError) -> (Tier, Int64)? {
    guard let oldest = try oldestEnd() else { return nil }
    for tier in Tier.allCases {
      let end = (try floor(of: tier) ?? Self.hour(before: oldest)) + Self.expiryStepMilliseconds
      // The last two hours stay: they are still being packed.
      if end <= newest - 2 * Self.expiryStepMilliseconds { return (tier, end) }
    }
    return nil
  }

  private static func hour(before end: Int64) -> Int64 {
    (end - 1).flooredDivision(by: expiryStepMilliseconds) * expiryStepMilliseconds
  }

  /// Removes everything of a tier that ends at or before `end`, a whole hour.
  private func remove(_ tier: Tier, through end: Int64) throws(StoreError) {
    let kinds = [TierKind(tier), TierKind.sketches(tier)].compactMap { $0 }
    let levels = TierLevel.all.filter { tier >= $0.finestTier }.map { ($0, count($0)) }
    try database.write { db in
      let statement = try db.cachedStatement(sql: "DELETE FROM rows WHERE id BETWEEN ? AND ?")
      for kind in kinds {
        for (level, count) in levels {
          for number in 0..<count {
            let group = TierGroupNumber(level: level, number: number)
            try statement.execute(arguments: [kind.id(group, 0), kind.id(group, end)])
          }
        }
      }
      try self.raise(Self.floorName(tier), end, db)
    }
    raiseLateFloor(end)
  }

  private static func floorName(_ tier: Tier) -> String { "kept-\(tier.rawValue)" }

  private func raise(_ name: String, _ value: Int64, _ db: Database) throws {
    let known = try fetchFact(name, db) ?? .min
    if value > known { try Self.storeFact(name, value, db) }
  }

  private func fact(_ name: String) throws(StoreError) -> Int64? {
    try database.read { db in try self.fetchFact(name, db) }
  }

  /// Windows of a tier that end at or before this are removed; `nil` while all are kept.
  func floor(of tier: Tier) throws(StoreError) -> Int64? { try fact(Self.floorName(tier)) }

  /// Notes, before it is done, that raw rows up to `end` are removed: minutes before it cannot be formed again.
  func noteRawRemoved(through end: Int64) throws(StoreError) {
    try database.write { db in try self.raise("raw-removed", end, db) }
    raiseLateFloor(end)
  }

  /// Raw rows that end at or before this were removed; 0 when none were.
  func rawRemoved() throws(StoreError) -> Int64 { try fact("raw-removed") ?? 0 }

  /// A minute that begins before this is not formed again: its raw rows are gone, or some of its tiers are.
  public var lateFloor: Int64 { state.withLock { $0.lateFloor } }

  func fetchLateFloor() throws(StoreError) -> Int64 { try database.read { db in try self.fetchLateFloor(db) } }

  func fetchLateFloor(_ db: Database) throws -> Int64 {
    var floor = try fetchFact("raw-removed", db) ?? 0
    for tier in Tier.allCases { floor = max(floor, try fetchFact(Self.floorName(tier), db) ?? 0) }
    return floor
  }

  private func raiseLateFloor(_ end: Int64) { state.withLock { $0.lateFloor = max($0.lateFloor, end) } }

  /// End of the oldest minute that was ever stored.
  private func oldestEnd() throws(StoreError) -> Int64? { try fact("first") }

  /// Takes marks away that cannot be followed any more; tells how many.
  func dropMarks(before floor: Int64) throws(StoreError) -> Int {
    try database.write { db in
      try db.execute(sql: "DELETE FROM dirty WHERE minute < ?", arguments: [floor + 60_000])
      return db.changesCount
    }
  }

  /// Of what minutes leave to the next ones, keeps every one of the last two hours, then one an hour, and none from
  /// before the oldest minute that can be formed again but the last.
  func thinCarries(newest: Int64, fleet: Int64 = 0) throws(StoreError) {
    let floor = lateFloor
    try database.write { db in
      try db.execute(
        sql: """
          DELETE FROM carries WHERE minute < ? AND minute % 3600000 != 0
            OR minute < (SELECT max(minute) FROM carries WHERE minute <= ?)
          """, arguments: [newest - 7_200_000, floor])
      // Minutes that are not formed again need no fingerprint; the newest tells where history ends.
      try db.execute(
        sql: "DELETE FROM minutes WHERE minute <= ? AND minute < (SELECT max(minute) FROM minutes)", arguments: [floor])
      try Self.dropFleets(but: fleet, db)
    }
  }

  /// Bytes by tier.
  public func usage() throws(StoreError) -> TierUsage {
    try database.read { db in
      var usage = TierUsage()
      for row in try Row.fetchAll(db, sql: "SELECT kind, bytes FROM sizes") {
        guard let kind = row.integer(0), let bytes = row.integer(1) else { continue }
        switch TierKind(rawValue: kind) {
        case .seconds: usage.tiers[.second] = bytes
        case .tenSeconds: usage.tiers[.tenSeconds] = bytes
        case .minutes: usage.tiers[.minute] = bytes
        case .quarterHours: usage.tiers[.quarterHour] = bytes
        case .hours: usage.tiers[.hour] = bytes
        case .minuteSketches, .quarterHourSketches, .hourSketches: usage.sketches += bytes
        case nil: usage.other += bytes
        }
      }
      let page = try Int64.fetchOne(db, sql: "PRAGMA page_size") ?? 0
      usage.free = page * (try Int64.fetchOne(db, sql: "PRAGMA freelist_count") ?? 0)
      usage.file = page * (try Int64.fetchOne(db, sql: "PRAGMA page_count") ?? 0)
      return usage
    }
  }

  /// The ends of the oldest window that a tier may still have; `nil` before the first minute.
  public func oldest(_ tier: Tier) throws(StoreError) -> Tick? {
    guard let first = try oldestEnd() else { return nil }
    return Tick(unixMilliseconds: max(first - 60_000, try floor(of: tier) ?? .min))
  }

  /// Asks for the minutes of `hours` (by their starts) to be formed: what raw history has from before there were tiers.
  ///
  /// - Parameter isForced: also when something is stored, as after damage: a minute that is right comes out the same.
  func noteExisting(hours: [Int64], now: Tick, isForced: Bool = false) throws(StoreError) {
    let mark = nextMark()
    try database.write { db in
      let known =
        try Int.fetchOne(db, sql: "SELECT (SELECT count(*) FROM noted) + (SELECT count(*) FROM minutes)") ?? 0
      guard known == 0 || isForced else { return }
      // Before the first minute that was ever stored there was nothing.
      let first = try self.fetchFact("first", db) ?? .min
      for hour in hours {
        for minute in 1...60 where hour + Int64(minute) * 60_000 >= first {
          try self.mark(hour + Int64(minute) * 60_000, mark, since: now.unixMilliseconds, db)
        }
      }
    }
  }
}
