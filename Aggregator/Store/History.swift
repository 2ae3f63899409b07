public import BongsuModel
internal import BongsuRecordLog
public import BongsuWire
internal import Foundation
internal import GRDB

/// What one shard adds to the history in one transaction.
public struct HistoryBatch: Sendable {
  /// Totals that late or new rows add to one minute of one group.
  public struct Addition: Hashable, Sendable {
    /// Level, by its number in the rollup.
    public var level: UInt8
    /// The group by its labels, such as `factory=icheon`: numbers of groups change with the fleet file, keys do not.
    public var group: String
    /// The tick that ends the minute, as rollups name their windows.
    public var minute: Tick
    public var cell: TierCell

    public init(level: UInt8, group: String, minute: Tick, cell: TierCell) {
      self.level = level
      self.group = group
      self.minute = minute
      self.cell = cell
    }
  }

  /// A gap of a node, and the record that holds it.
  public struct GapRecord: Hashable, Sendable {
    public var record: UInt64
    public var node: NodeID
    public var gap: JournalGap

    public init(record: UInt64, node: NodeID, gap: JournalGap) {
      self.record = record
      self.node = node
      self.gap = gap
    }
  }

  public var shard: Int
  /// The batch holds exactly what records after the applied one up to this one say, less what `state` keeps back.
  public var record: UInt64
  /// What of those records is not in any addition yet (open windows, say): handed back at a restart.
  public var state: [UInt8]
  public var additions: [Addition] = []
  public var gaps: [GapRecord] = []

  public init(shard: Int, record: UInt64, state: [UInt8] = []) {
    self.shard = shard
    self.record = record
    self.state = state
  }
}

/// Minutes of every group, and gap records, in one SQLite file.
///
/// **Exactly once.** Additions, gaps, the number of the last record they come from and what is kept back go into one
/// transaction. After a crash the owner takes ``applied(shard:)``, goes on with its state from the record after, and
/// replays the journal: nothing is missing and nothing enters twice, since cells only ever grow by what is new. Late rows
/// are additions like any others, so an outage leaves no trace.
///
/// Every row carries a checksum over its key and contents: a damaged one is passed over and counted, never returned.
///
/// Thread rule: from any thread, blocking; one shard's batches in order.
public final class History: Sendable {
  let database: StoreDatabase

  /// Opens or makes the file at `path`.
  ///
  /// - Throws: ``StoreError/damaged(path:message:)`` when the file cannot be relied on: call ``setAside(path:now:)``,
  ///   open anew, and replay the journal from its oldest record.
  public init(path: String) throws(StoreError) {
    database = try StoreDatabase(path: path, version: StoreLimits.historyVersion, migrations: [Self.createTables])
    // A damaged count would skip records or apply them twice.
    _ = try database.read { db in
      for shard in try Int.fetchAll(db, sql: "SELECT shard FROM applied") { _ = try self.fetchApplied(db, shard) }
    }
  }

  /// Renames a damaged file out of the way; it is kept for inspection.
  public static func setAside(path: String, now: Tick) throws(StoreError) {
    try StoreDatabase.setAside(path: path, now: now.unixMilliseconds)
  }

  private static let createTables: @Sendable (Database) throws -> Void = { db in
    try db.execute(
      sql: """
        CREATE TABLE applied (
          shard INTEGER PRIMARY KEY, record INTEGER NOT NULL, state BLOB NOT NULL, checksum INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE groups (
          id INTEGER PRIMARY KEY, level INTEGER NOT NULL, key TEXT NOT NULL, UNIQUE (level, key)
        ) STRICT;
        CREATE TABLE minutes (
          group_id INTEGER NOT NULL, minute INTEGER NOT NULL, cell BLOB NOT NULL, checksum INTEGER NOT NULL,
          PRIMARY KEY (group_id, minute)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX minutes_by_time ON minutes (minute);
        CREATE TABLE gaps (
          shard INTEGER NOT NULL, record INTEGER NOT NULL, node TEXT NOT NULL, reason INTEGER NOT NULL,
          first_tick INTEGER, last_tick INTEGER, first_sequence INTEGER, last_sequence INTEGER,
          checksum INTEGER NOT NULL, PRIMARY KEY (shard, record)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX gaps_by_node ON gaps (node, last_tick);
        CREATE INDEX gaps_by_time ON gaps (last_tick);
        """)
  }

  // MARK: Applying

  /// How far a shard's records are applied, and the state kept back with them; `nil` before the first batch.
  public func applied(shard: Int) throws(StoreError) -> (record: UInt64, state: [UInt8])? {
    try database.read { db in try self.fetchApplied(db, shard) }
  }

  /// Applies a batch in one durable transaction.
  ///
  /// - Throws: ``StoreError/outOfOrder(shard:record:applied:)`` when its records are applied already; an error with
  ///   ``StoreError/isOutOfSpace`` when the disk is full. Nothing is changed then.
  public func apply(_ batch: HistoryBatch) throws(StoreError) {
    precondition((0..<StoreLimits.shardsMax).contains(batch.shard), "shard \(batch.shard)")
    try database.write { db in
      let known = try self.fetchApplied(db, batch.shard)
      if let known, batch.record <= known.record {
        throw StoreError.outOfOrder(shard: batch.shard, record: batch.record, applied: known.record)
      }
      for addition in batch.additions where !addition.cell.isEmpty { try Self.add(addition, db) }
      for gap in batch.gaps { try Self.add(gap, shard: batch.shard, db) }
      try db.execute(
        sql: "INSERT OR REPLACE INTO applied (shard, record, state, checksum) VALUES (?, ?, ?, ?)",
        arguments: [
          batch.shard, Int64(batch.record), Data(batch.state),
          Self.checksum(shard: batch.shard, batch.record, batch.state),
        ])
    }
  }

  private func fetchApplied(_ db: Database, _ shard: Int) throws -> (record: UInt64, state: [UInt8])? {
    let row = try Row.fetchOne(
      db, sql: "SELECT record, state, checksum FROM applied WHERE shard = ?", arguments: [shard])
    guard let row else { return nil }
    let record: Int64 = row["record"]
    let state: Data = row["state"]
    let bytes = Array(state)
    guard record >= 0, row["checksum"] == Self.checksum(shard: shard, UInt64(record), bytes) else {
      throw StoreError.damaged(
        path: database.path, message: "the applied record of shard \(shard) is not what was written")
    }
    return (UInt64(record), bytes)
  }

  private static func checksum(shard: Int, _ record: UInt64, _ state: [UInt8]) -> Int64 {
    var checksum = RowChecksum()
    checksum.add(Int64(shard))
    checksum.add(Int64(record))
    checksum.add(state)
    return checksum.value
  }

  private static func checksum(_ level: UInt8, _ group: String, _ minute: Int64, _ cell: [UInt8]) -> Int64 {
    var checksum = RowChecksum()
    checksum.add(Int64(level))
    checksum.add(group)
    checksum.add(minute)
    checksum.add(cell)
    return checksum.value
  }

  private static func add(_ addition: HistoryBatch.Addition, _ db: Database) throws {
    let bytes = addition.group.utf8.count
    guard bytes <= StoreLimits.groupKeyBytesMax else {
      throw StoreError.tooLarge(what: "bytes of a group's key", value: bytes, limit: StoreLimits.groupKeyBytesMax)
    }
    let find = try db.cachedStatement(sql: "SELECT id FROM groups WHERE level = ? AND key = ?")
    var id = try Int64.fetchOne(find, arguments: [Int(addition.level), addition.group])
    if id == nil {
      try db.cachedStatement(sql: "INSERT INTO groups (level, key) VALUES (?, ?)")
        .execute(arguments: [Int(addition.level), addition.group])
      id = db.lastInsertedRowID
    }
    guard let id else { return }
    let minute = addition.minute.unixMilliseconds
    var cell = addition.cell
    let known = try Row.fetchOne(
      try db.cachedStatement(sql: "SELECT cell, checksum FROM minutes WHERE group_id = ? AND minute = ?"),
      arguments: [id, minute])
    if let known {
      let data: Data = known["cell"]
      let bytes = Array(data)
      // What is damaged is lost; the window goes on with what is new and stays short, which coverage shows.
      if known["checksum"] == checksum(addition.level, addition.group, minute, bytes),
        let stored = TierCell(bytes: bytes)
      {
        cell.merge(stored)
      }
    }
    let encoded = cell.encoded()
    try db.cachedStatement(
      sql: "INSERT OR REPLACE INTO minutes (group_id, minute, cell, checksum) VALUES (?, ?, ?, ?)"
    ).execute(
      arguments: [id, minute, Data(encoded), checksum(addition.level, addition.group, minute, encoded)])
  }

  // MARK: Asking

  /// Minutes of one group, ascending, whose ends lie in `range`. Damaged rows are left out and counted in `damaged`.
  public func minutes(
    level: UInt8, group: String, _ range: ClosedRange<Tick>
  ) throws(StoreError) -> (rows: [(minute: Tick, cell: TierCell)], damaged: Int) {
    try database.read { db in
      var rows: [(minute: Tick, cell: TierCell)] = []
      var damaged = 0
      let cursor = try Row.fetchCursor(
        db,
        sql: """
          SELECT minute, cell, m.checksum AS checksum FROM minutes m JOIN groups g ON g.id = m.group_id
          WHERE g.level = ? AND g.key = ? AND minute BETWEEN ? AND ? ORDER BY minute LIMIT ?
          """,
        arguments: [
          Int(level), group, range.lowerBound.unixMilliseconds, range.upperBound.unixMilliseconds,
          StoreLimits.answerRowsMax,
        ])
      while let row = try cursor.next() {
        let minute: Int64 = row["minute"]
        let data: Data = row["cell"]
        let bytes = Array(data)
        if row["checksum"] == Self.checksum(level, group, minute, bytes), let cell = TierCell(bytes: bytes) {
          rows.append((Tick(unixMilliseconds: minute), cell))
        } else {
          damaged += 1
        }
      }
      return (rows, damaged)
    }
  }

  /// The keys of all groups of a level, ascending.
  public func groups(level: UInt8) throws(StoreError) -> [String] {
    try database.read { db in
      try String.fetchAll(db, sql: "SELECT key FROM groups WHERE level = ? ORDER BY key", arguments: [Int(level)])
    }
  }

  /// Gaps that touch `range`, of one node or of all, oldest first. Damaged rows are left out and counted.
  public func gaps(
    of node: NodeID? = nil, _ range: ClosedRange<Tick>
  ) throws(StoreError) -> (gaps: [StoredGap], damaged: Int) {
    try database.read { db in
      var gaps: [StoredGap] = []
      var damaged = 0
      let cursor = try Row.fetchCursor(
        db,
        sql: """
          SELECT * FROM gaps WHERE (?1 IS NULL OR node = ?1)
          AND (last_tick IS NULL OR last_tick >= ?2) AND (first_tick IS NULL OR first_tick <= ?3)
          ORDER BY first_tick, shard, record LIMIT ?4
          """,
        arguments: [
          node?.name, range.lowerBound.unixMilliseconds, range.upperBound.unixMilliseconds, StoreLimits.answerRowsMax,
        ])
      while let row = try cursor.next() {
        if let gap = StoredGap(row) { gaps.append(gap) } else { damaged += 1 }
      }
      return (gaps, damaged)
    }
  }

  private static func add(_ gap: HistoryBatch.GapRecord, shard: Int, _ db: Database) throws {
    let stored = StoredGap(gap)
    try db.cachedStatement(
      sql: """
        INSERT OR REPLACE INTO gaps
        (shard, record, node, reason, first_tick, last_tick, first_sequence, last_sequence, checksum)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        """
    ).execute(
      arguments: [
        shard, Int64(gap.record), stored.node.name, Int(stored.reason.rawValue),
        stored.ticks?.lowerBound.unixMilliseconds, stored.ticks?.upperBound.unixMilliseconds,
        stored.sequences.map { Int64($0.lowerBound) }, stored.sequences.map { Int64($0.upperBound) },
        stored.checksum(shard: shard, record: gap.record),
      ])
  }

  // MARK: Care

  /// Removes minutes and gaps that end before `tick`, at most `rowsMax` of each; returns how many rows went.
  @discardableResult
  public func expire(before tick: Tick, rowsMax: Int = 10_000) throws(StoreError) -> Int {
    try database.write { db in
      var removed = 0
      try db.execute(
        sql: """
          DELETE FROM minutes WHERE (group_id, minute) IN
          (SELECT group_id, minute FROM minutes WHERE minute < ? LIMIT ?)
          """, arguments: [tick.unixMilliseconds, rowsMax])
      removed += db.changesCount
      try db.execute(
        sql: """
          DELETE FROM gaps WHERE (shard, record) IN
          (SELECT shard, record FROM gaps WHERE last_tick < ? LIMIT ?)
          """, arguments: [tick.unixMilliseconds, rowsMax])
      return removed + db.changesCount
    }
  }

  /// SQLite's check of the whole file; `nil` when it is sound. Reads every page.
  public func problem() throws(StoreError) -> String? { try database.problem() }
}

/// A gap as it is stored.
public struct StoredGap: Hashable, Sendable {
  public let node: NodeID
  public let reason: GapReason
  /// Ticks that may be lost; `nil` where not even one could be.
  public let ticks: ClosedRange<Tick>?
  public let sequences: ClosedRange<UInt64>?

  /// The reason's stable name, what is the matter, and what to do about it.
  public var explanation: (label: String, text: String, nextStep: String) {
    (reason.label, reason.text, reason.nextStep)
  }

  init(_ record: HistoryBatch.GapRecord) {
    node = record.node
    reason = record.gap.reason
    ticks = record.gap.ticks
    sequences = record.gap.sequences
  }

  init?(_ row: Row) {
    guard let node = NodeID(row["node"]), let reason = GapReason(rawValue: row["reason"]) else { return nil }
    self.node = node
    self.reason = reason
    let first: Int64? = row["first_tick"]
    let last: Int64? = row["last_tick"]
    if let first, let last {
      guard first <= last else { return nil }
      ticks = Tick(unixMilliseconds: first)...Tick(unixMilliseconds: last)
    } else {
      ticks = nil
    }
    let firstSequence: Int64? = row["first_sequence"]
    let lastSequence: Int64? = row["last_sequence"]
    if let firstSequence, let lastSequence {
      guard firstSequence >= 0, firstSequence <= lastSequence else { return nil }
      sequences = UInt64(firstSequence)...UInt64(lastSequence)
    } else {
      sequences = nil
    }
    let record: Int64 = row["record"]
    guard row["checksum"] == checksum(shard: row["shard"], record: UInt64(bitPattern: record)) else { return nil }
  }

  func checksum(shard: Int, record: UInt64) -> Int64 {
    var checksum = RowChecksum()
    checksum.add(Int64(shard))
    checksum.add(Int64(bitPattern: record))
    checksum.add(node.name)
    checksum.add(Int64(reason.rawValue))
    checksum.add(ticks?.lowerBound.unixMilliseconds)
    checksum.add(ticks?.upperBound.unixMilliseconds)
    checksum.add(sequences.map { Int64($0.lowerBound) })
    checksum.add(sequences.map { Int64($0.upperBound) })
    return checksum.value
  }
}
