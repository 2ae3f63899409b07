public import BongsuModel
internal import BongsuRollup
internal import BongsuThreads
internal import Foundation
internal import GRDB

/// The tiers of rollups in one SQLite file, and which minutes of them have to be formed anew.
///
/// A stored minute is a function of the stored rows and the fleet (``MinuteRollup``). So it is replaced whole, in one
/// transaction together with the mark that asked for it; a crash at any point leaves the mark, and the minute is formed
/// again. How an hour is packed changes no value:
///
///     minute ──▶ rows: 60 ticks of each group          (kept as they are)
///            ──▶ fresh: windows of the minute, many groups in a row
///                  └─ when the hour is over ─▶ rows: hours of 10 s, 1 min, 15 min and 1 h of each group
///
/// What is fresh stands before what is packed. Every row has a checksum over its key and contents: a damaged one is left
/// out and counted, never returned. ``mended(path:say:)`` opens a file that may be damaged.
///
/// Thread rule: from any thread, blocking; one writer at a time, which is the ``TierKeeper``, and notes.
public final class TierStore: Sendable {
  let database: StoreDatabase
  let state: ThreadLock<State>

  struct State {
    /// Keys and numbers of groups, by level.
    var groups: [TierLevel: [String: Int]] = [:]
    var keys: [TierLevel: [String]] = [:]
    /// Rows that failed their checksum since the start.
    var damaged = 0
    /// The next mark of a minute that got rows.
    var nextMark: Int64
    /// Minutes that begin before are not formed again.
    var lateFloor: Int64 = 0
    /// How often a minute was not formed anew since raw rows of it are lost, and the hours (by their ends) of these.
    var staying = 0
    var lossyHours: Set<Int64> = []
    /// Groups whose names are damaged, without those of which that is known.
    var lostGroups = 0
  }

  /// Opens or makes the file at `path`.
  ///
  /// - Throws: ``StoreError/damaged(path:message:)`` when it cannot be relied on.
  public init(path: String) throws(StoreError) {
    database = try StoreDatabase(
      path: path, version: StoreLimits.tiersVersion,
      // Version 4 packs what it writes; what is there stays as it is.
      migrations: [Self.createTables, Self.keepFleets, Self.addChecksums, { _ in }], shrinks: true,
      foundDamage: { Self.suspect(path) })
    state = ThreadLock(State(nextMark: Int64(Date().timeIntervalSince1970 * 1_000_000)))
    let floor = try fetchLateFloor()
    state.withLock { $0.lateFloor = floor }
    try loadGroups()
  }

  private static let createTables: @Sendable (Database) throws -> Void = { db in
    try db.execute(
      sql: """
        CREATE TABLE noted (shard INTEGER PRIMARY KEY, record INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT;
        CREATE TABLE dirty (
          minute INTEGER PRIMARY KEY, mark INTEGER NOT NULL, since_ms INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE minutes (minute INTEGER PRIMARY KEY, fingerprint INTEGER NOT NULL) STRICT;
        CREATE TABLE carries (minute INTEGER PRIMARY KEY, body BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;
        CREATE TABLE groups (
          level INTEGER NOT NULL, number INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY (level, number)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE fresh (id INTEGER PRIMARY KEY, body BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;
        CREATE TABLE rows (id INTEGER PRIMARY KEY, body BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;
        CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE sizes (kind INTEGER PRIMARY KEY, bytes INTEGER NOT NULL) STRICT;
        INSERT INTO sizes VALUES (0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0);
        """)
    // Sizes by kind follow every change in its own transaction; 8 stands for what is in other tables.
    for (table, kind) in [("rows", "(%.id >> 60)"), ("fresh", "8"), ("carries", "8")] {
      func change(_ sign: String, _ row: String) -> String {
        """
        UPDATE sizes SET bytes = bytes \(sign) length(\(row).body)
          WHERE kind = \(kind.replacingOccurrences(of: "%", with: row));
        """
      }
      try db.execute(
        sql: """
          CREATE TRIGGER \(table)_in AFTER INSERT ON \(table) BEGIN \(change("+", "new")) END;
          CREATE TRIGGER \(table)_out AFTER DELETE ON \(table) BEGIN \(change("-", "old")) END;
          CREATE TRIGGER \(table)_change AFTER UPDATE ON \(table) BEGIN
            \(change("-", "old")) \(change("+", "new"))
          END;
          """)
    }
  }

  /// Rows that failed their checksum when they were read, since the start.
  public var damagedRows: Int { state.withLock { $0.damaged } }

  /// How often a stored minute was to be formed anew, for late rows or a restatement, and stays as it was formed of all
  /// rows, since some of them are lost by now; since the start.
  public var stayingMinutes: Int { state.withLock { $0.staying } }

  /// Counts a minute that stays as it is; whether it is the first of its hour.
  func noteStays(_ minute: Int64) -> Bool {
    state.withLock { state in
      state.staying += 1
      return state.lossyHours.insert(Tier.hour.end(of: Tick(unixMilliseconds: minute)).unixMilliseconds).inserted
    }
  }

  /// SQLite's check of the whole file; `nil` when it is sound. Reads every page.
  public func problem() throws(StoreError) -> String? { try database.problem() }

  // MARK: Notes

  /// The last record of a shard of which it is noted which minutes it has rows of; 0 before the first.
  public func noted(shard: Int) throws(StoreError) -> UInt64 {
    try database.read { db in try self.fetchNoted(db, shard) ?? 0 }
  }

  func nextMark() -> Int64 {
    state.withLock { state in
      state.nextMark += 1
      return state.nextMark
    }
  }

  /// Notes that records of a shard up to `record` have rows of `minutes` (named by their ends), in one transaction.
  public func note(shard: Int, through record: UInt64, minutes: Set<Int64>, now: Tick) throws(StoreError) {
    let mark = nextMark()
    try database.write { db in
      for minute in minutes { try self.mark(minute, mark, since: now.unixMilliseconds, db) }
      try Self.storeNoted(Int64(shard), Int64(record), db)
    }
  }

  /// Asks for a minute to be formed; `restates`: by the present fleet and at once, however often rows come meanwhile.
  func mark(_ minute: Int64, _ mark: Int64, since: Int64, restates: Bool = false, _ db: Database) throws {
    let known = try Row.fetchOne(
      db.cachedStatement(sql: "SELECT mark, restates, checksum FROM dirty WHERE minute = ?"), arguments: [minute])
    var asked: Int64 = restates ? 1 : 0
    if let known {
      guard let former = known.integer(0), let before = known.integer(1),
        known.integer(2) == Self.sum(.dirty, minute, former, before)
      else { throw damagedMark }
      asked = max(asked, before)
    }
    try db.cachedStatement(
      sql: """
        INSERT INTO dirty (minute, mark, since_ms, restates, checksum) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (minute) DO UPDATE SET mark = excluded.mark, restates = excluded.restates,
          checksum = excluded.checksum\(restates ? ", since_ms = excluded.since_ms" : "")
        """
    ).execute(arguments: [minute, mark, since, asked, Self.sum(.dirty, minute, mark, asked)])
  }

  private var damagedMark: StoreError {
    .damaged(path: database.path, message: "a minute's mark is not what was written")
  }

  private func fetchNoted(_ db: Database, _ shard: Int) throws -> UInt64? {
    let row = try Row.fetchOne(db, sql: "SELECT record, checksum FROM noted WHERE shard = ?", arguments: [shard])
    guard let row else { return nil }
    // A damaged number would leave rows out for good.
    guard let record = row.integer(0), record >= 0, row.integer(1) == Self.sum(.noted, Int64(shard), record) else {
      throw StoreError.damaged(
        path: database.path, message: "the noted record of shard \(shard) is not what was written")
    }
    return UInt64(record)
  }

  /// A minute with rows that came since it was formed.
  struct Dirty {
    let minute: Int64
    let mark: Int64
    let since: Int64
    /// Whether the present fleet is to count.
    let restates: Bool
  }

  /// Minutes that have to be formed, oldest first.
  func dirtyMinutes(limit: Int = 10_000) throws(StoreError) -> [Dirty] {
    try database.read { db in
      try Row.fetchAll(
        db, sql: "SELECT minute, mark, since_ms, restates, checksum FROM dirty ORDER BY minute LIMIT ?",
        arguments: [limit]
      ).map { row throws -> Dirty in
        guard let minute = row.integer(0), let mark = row.integer(1), let since = row.integer(2),
          let restates = row.integer(3), row.integer(4) == Self.sum(.dirty, minute, mark, restates)
        else { throw self.damagedMark }
        return Dirty(minute: minute, mark: mark, since: since, restates: restates == 1)
      }
    }
  }

  /// Takes a minute's mark away, unless a newer one stands there.
  func clear(_ mark: Int64, of minute: Int64) throws(StoreError) {
    try database.write { db in
      try db.execute(sql: "DELETE FROM dirty WHERE minute = ? AND mark = ?", arguments: [minute, mark])
    }
  }

  /// How many minutes wait to be formed.
  public func dirtyCount() throws(StoreError) -> Int {
    try database.read { db in try Int.fetchOne(db, sql: "SELECT count(*) FROM dirty") ?? 0 }
  }

  // MARK: Minutes

  /// End of the newest minute that is stored.
  public func newestMinute() throws(StoreError) -> Tick? {
    try database.read { db in
      try Int64.fetchOne(db, sql: "SELECT max(minute) FROM minutes").map { Tick(unixMilliseconds: $0) }
    }
  }

  /// Ends of stored minutes in a range.
  func storedMinutes(_ range: ClosedRange<Int64>) throws(StoreError) -> [Int64] {
    try database.read { db in
      try Int64.fetchAll(
        db, sql: "SELECT minute FROM minutes WHERE minute BETWEEN ? AND ? ORDER BY minute",
        arguments: [range.lowerBound, range.upperBound])
    }
  }

  /// The newest carry that was kept of a minute up to `minute`; damaged ones are passed over.
  func carry(upTo minute: Int64) throws(StoreError) -> (minute: Int64, carry: RollupCarry)? {
    try database.read { db in
      let cursor = try Row.fetchCursor(
        db, sql: "SELECT minute, body, checksum FROM carries WHERE minute <= ? ORDER BY minute DESC",
        arguments: [minute])
      while let row = try cursor.next() {
        guard let found = row.integer(0) else { continue }
        if let bytes = self.sound(row, id: found, in: .carries), let carry = try? RollupCarry(bytes: bytes) {
          return (found, carry)
        }
      }
      return nil
    }
  }

  /// What is kept beside a minute.
  struct Circumstances {
    /// The carry that the minute leaves, to be kept; `nil`: it is not kept.
    var carry: RollupCarry?
    var fingerprint: Int64
    /// The number of the fleet that it is formed by.
    var fleet: Int64 = 0
    /// The mark that is cleared; a newer one stays.
    var mark: Int64?
    /// Whether nodes are estimated after the minute, so that the next one is formed also without rows.
    var continues: Bool
  }

  /// Replaces a minute, unless what it is made of was removed in the meantime. Where what it leaves to the next one is not what it left before, the next one is marked.
  func replace(_ minute: StoredMinute, _ plan: RollupPlan, _ about: Circumstances) throws(StoreError) {
    let end = minute.end.unixMilliseconds
    let content = try numbered(minute, plan)
    let mark = nextMark()
    try database.write { db in
      if let cleared = about.mark {
        try db.execute(sql: "DELETE FROM dirty WHERE minute = ? AND mark = ?", arguments: [end, cleared])
      }
      // Raw rows go after this note, so a minute that was formed of what is left of them finds it here.
      guard end - 60_000 >= (try self.fetchLateFloor(db)) else { return }
      let known = try Int64.fetchOne(db, sql: "SELECT fingerprint FROM minutes WHERE minute = ?", arguments: [end])
      for (group, body) in content.seconds { try self.put(.rows, TierKind.seconds.id(group, end), body, db) }
      for group in content.withoutSeconds { try self.remove(TierKind.seconds.id(group, end), db) }
      for (group, body) in content.sketches { try self.put(.rows, TierKind.minuteSketches.id(group, end), body, db) }
      for group in content.withoutSketches { try self.remove(TierKind.minuteSketches.id(group, end), db) }
      for (id, body) in content.fresh { try self.put(.fresh, id, body, db) }
      try Self.storeMinute(end, about.fingerprint, fleet: about.fleet, db)
      if let carry = about.carry { try self.put(.carries, end, carry.bytes, db) }
      if known != about.fingerprint {
        let next = end + 60_000
        let isStored = try Int64.fetchOne(db, sql: "SELECT 1 FROM minutes WHERE minute = ?", arguments: [next]) != nil
        let newest = try Int64.fetchOne(db, sql: "SELECT max(minute) FROM minutes") ?? end
        if isStored || about.continues && next < newest { try self.mark(next, mark, since: 0, db) }
      }
      let first = try self.fetchFact("first", db) ?? .max
      if end < first { try Self.storeFact("first", end, db) }
    }
  }

  // MARK: Rows

  func put(_ table: TierTable, _ id: Int64, _ body: [UInt8], _ db: Database) throws {
    // Not INSERT OR REPLACE, which would run no trigger for what it replaces.
    try db.cachedStatement(
      sql: """
        INSERT INTO \(table.rawValue) (\(table.key), body, checksum) VALUES (?, ?, ?)
        ON CONFLICT (\(table.key)) DO UPDATE SET body = excluded.body, checksum = excluded.checksum
        """
    ).execute(arguments: [id, Data(body), Self.sum(table, id, bytes: body)])
  }

  func remove(_ id: Int64, _ db: Database) throws {
    try db.cachedStatement(sql: "DELETE FROM rows WHERE id = ?").execute(arguments: [id])
  }

  /// The body of a row when it is what was written; damage is counted. The row has columns `body` and `checksum`.
  func sound(_ row: Row, id: Int64, in table: TierTable) -> [UInt8]? {
    let (body, checksum): (DatabaseValue, DatabaseValue) = (row["body"], row["checksum"])
    if case .blob(let data) = body.storage, case .int64(let stated) = checksum.storage {
      let bytes = Array(data)
      if stated == Self.sum(table, id, bytes: bytes) { return bytes }
    }
    noteDamage()
    return nil
  }

  func noteDamage() {
    state.withLock { $0.damaged += 1 }
    Self.suspect(database.path)
  }
}
