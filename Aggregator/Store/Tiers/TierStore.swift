public import BongsuModel
internal import BongsuRollup
internal import Foundation
internal import GRDB
internal import Synchronization

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
/// out and counted, never returned.
///
/// Thread rule: from any thread, blocking; one writer at a time, which is the ``TierKeeper``, and notes.
public final class TierStore: Sendable {
  let database: StoreDatabase
  let state: Mutex<State>

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
  }

  /// Opens or makes the file at `path`.
  ///
  /// - Throws: ``StoreError/damaged(path:message:)`` when it cannot be relied on: call ``setAside(path:now:)`` and open
  ///   anew; all minutes of which rows are stored are formed again.
  public init(path: String) throws(StoreError) {
    database = try StoreDatabase(
      path: path, version: StoreLimits.tiersVersion, migrations: [Self.createTables, Self.keepFleets], shrinks: true)
    state = Mutex(State(nextMark: Int64(Date().timeIntervalSince1970 * 1_000_000)))
    _ = try database.read { db in
      for shard in try Int.fetchAll(db, sql: "SELECT shard FROM noted") { _ = try self.fetchNoted(db, shard) }
    }
    let floor = try fetchLateFloor()
    state.withLock { $0.lateFloor = floor }
    try loadGroups()
  }

  /// Renames a damaged file out of the way; it is kept for inspection.
  public static func setAside(path: String, now: Tick) throws(StoreError) {
    try StoreDatabase.setAside(path: path, now: now.unixMilliseconds)
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
      for minute in minutes { try Self.mark(minute, mark, since: now.unixMilliseconds, db) }
      var checksum = RowChecksum()
      checksum.add(Int64(shard))
      checksum.add(Int64(record))
      try db.execute(
        sql: "INSERT OR REPLACE INTO noted (shard, record, checksum) VALUES (?, ?, ?)",
        arguments: [shard, Int64(record), checksum.value])
    }
  }

  static func mark(_ minute: Int64, _ mark: Int64, since: Int64, _ db: Database) throws {
    try db.cachedStatement(
      sql: """
        INSERT INTO dirty (minute, mark, since_ms) VALUES (?, ?, ?) ON CONFLICT (minute) DO UPDATE SET mark = excluded.mark
        """
    ).execute(arguments: [minute, mark, since])
  }

  private func fetchNoted(_ db: Database, _ shard: Int) throws -> UInt64? {
    let row = try Row.fetchOne(db, sql: "SELECT record, checksum FROM noted WHERE shard = ?", arguments: [shard])
    guard let row else { return nil }
    let record: Int64 = row["record"]
    var checksum = RowChecksum()
    checksum.add(Int64(shard))
    checksum.add(record)
    // A damaged number would leave rows out for good.
    guard record >= 0, row["checksum"] == checksum.value else {
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
      try Row.fetchAll(db, sql: "SELECT * FROM dirty ORDER BY minute LIMIT ?", arguments: [limit])
        .map {
          Dirty(minute: $0["minute"], mark: $0["mark"], since: $0["since_ms"], restates: ($0["restates"] as Int64) == 1)
        }
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
        let found: Int64 = row["minute"]
        if let bytes = self.sound(row, id: found), let carry = try? RollupCarry(bytes: bytes) { return (found, carry) }
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
      guard end - 60_000 >= (try Self.fetchLateFloor(db)) else { return }
      let known = try Int64.fetchOne(db, sql: "SELECT fingerprint FROM minutes WHERE minute = ?", arguments: [end])
      for (group, body) in content.seconds { try self.put("rows", TierKind.seconds.id(group, end), body, db) }
      for group in content.withoutSeconds { try self.remove(TierKind.seconds.id(group, end), db) }
      for (group, body) in content.sketches { try self.put("rows", TierKind.minuteSketches.id(group, end), body, db) }
      for group in content.withoutSketches { try self.remove(TierKind.minuteSketches.id(group, end), db) }
      for (id, body) in content.fresh { try self.put("fresh", id, body, db) }
      try db.execute(
        sql: "INSERT OR REPLACE INTO minutes (minute, fingerprint, fleet) VALUES (?, ?, ?)",
        arguments: [end, about.fingerprint, about.fleet])
      if let carry = about.carry { try self.put("carries", end, carry.bytes, db, key: "minute") }
      if known != about.fingerprint {
        let next = end + 60_000
        let isStored = try Int64.fetchOne(db, sql: "SELECT 1 FROM minutes WHERE minute = ?", arguments: [next]) != nil
        let newest = try Int64.fetchOne(db, sql: "SELECT max(minute) FROM minutes") ?? end
        if isStored || about.continues && next < newest { try Self.mark(next, mark, since: 0, db) }
      }
      try db.execute(
        sql:
          "INSERT INTO facts (name, value) VALUES ('first', ?) ON CONFLICT (name) DO UPDATE SET value = min(value, ?)",
        arguments: [end, end])
    }
  }

  // MARK: Rows

  func put(_ table: String, _ id: Int64, _ body: [UInt8], _ db: Database, key: String = "id") throws {
    // Not INSERT OR REPLACE, which would run no trigger for what it replaces.
    try db.cachedStatement(
      sql: """
        INSERT INTO \(table) (\(key), body, checksum) VALUES (?, ?, ?)
        ON CONFLICT (\(key)) DO UPDATE SET body = excluded.body, checksum = excluded.checksum
        """
    ).execute(arguments: [id, Data(body), Self.checksum(id, body)])
  }

  func remove(_ id: Int64, _ db: Database) throws {
    try db.cachedStatement(sql: "DELETE FROM rows WHERE id = ?").execute(arguments: [id])
  }

  /// The body of a row when it is what was written; damage is counted.
  func sound(_ row: Row, id: Int64) -> [UInt8]? {
    let data: Data = row["body"]
    let bytes = Array(data)
    if row["checksum"] == Self.checksum(id, bytes) { return bytes }
    noteDamage()
    return nil
  }

  func noteDamage() { state.withLock { $0.damaged += 1 } }

  private static func checksum(_ id: Int64, _ body: [UInt8]) -> Int64 {
    var checksum = RowChecksum()
    checksum.add(id)
    checksum.add(body)
    return checksum.value
  }
}
