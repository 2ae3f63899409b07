public import BongsuModel
internal import BongsuRecordLog
public import BongsuWire
internal import Foundation
internal import GRDB

/// What one shard adds to the history in one transaction.
public struct HistoryBatch: Sendable {
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
  /// The batch holds exactly what records after the applied one up to this one say.
  public var record: UInt64
  public var gaps: [GapRecord] = []

  public init(shard: Int, record: UInt64) {
    self.shard = shard
    self.record = record
  }
}

/// Gap records in one SQLite file.
///
/// **Exactly once.** Gaps and the number of the last record they come from go into one transaction. After a crash the owner
/// takes ``applied(shard:)`` and replays the journal from the record after: nothing is missing and nothing enters twice.
///
/// Every row carries a checksum over its key and contents: a damaged one is passed over and counted, never returned.
///
/// Thread rule: from any thread, blocking; one shard's batches in order.
public final class History: Sendable {
  let database: StoreDatabase

  /// Opens or makes the file at `path`.
  ///
  /// - Throws: ``StoreError/damaged(path:message:)`` when the file cannot be relied on.
  public init(path: String) throws(StoreError) {
    database = try StoreDatabase(
      path: path, version: StoreLimits.historyVersion,
      migrations: [Self.createTables, Self.leaveMinutes])
    // A damaged count would skip records or apply them twice.
    _ = try database.read { db in
      for shard in try Int.fetchAll(db, sql: "SELECT shard FROM applied") { _ = try self.fetchApplied(db, shard) }
    }
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

  /// Version 1 had minutes of every group, which ``TierStore`` has taken over.
  private static let leaveMinutes: @Sendable (Database) throws -> Void = { db in
    try db.execute(sql: "DROP TABLE minutes; DROP TABLE groups;")
  }

  // MARK: Applying

  /// How far a shard's records are applied; `nil` before the first batch.
  public func applied(shard: Int) throws(StoreError) -> UInt64? {
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
      if let known, batch.record <= known {
        throw StoreError.outOfOrder(shard: batch.shard, record: batch.record, applied: known)
      }
      for gap in batch.gaps { try Self.add(gap, shard: batch.shard, db) }
      try db.execute(
        sql: "INSERT OR REPLACE INTO applied (shard, record, state, checksum) VALUES (?, ?, ?, ?)",
        arguments: [
          batch.shard, Int64(batch.record), Data(), Self.checksum(shard: batch.shard, batch.record, []),
        ])
    }
  }

  private func fetchApplied(_ db: Database, _ shard: Int) throws -> UInt64? {
    let row = try Row.fetchOne(
      db, sql: "SELECT record, state, checksum FROM applied WHERE shard = ?", arguments: [shard])
    guard let row else { return nil }
    guard let record = row.integer(0), record >= 0, let state = row.bytes(1),
      row.integer(2) == Self.checksum(shard: shard, UInt64(record), state)
    else {
      throw StoreError.damaged(
        path: database.path, message: "the applied record of shard \(shard) is not what was written")
    }
    return UInt64(record)
  }

  private static func checksum(shard: Int, _ record: UInt64, _ state: [UInt8]) -> Int64 {
    var checksum = RowChecksum()
    checksum.add(Int64(shard))
    checksum.add(Int64(record))
    checksum.add(state)
    return checksum.value
  }

  // MARK: Asking

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
          SELECT \(StoredGap.columns) FROM gaps WHERE (?1 IS NULL OR node = ?1)
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
    try insert(StoredGap(gap), shard: shard, record: gap.record, db)
  }

  private static func insert(_ stored: StoredGap, shard: Int, record: UInt64, _ db: Database) throws {
    try db.cachedStatement(
      sql: "INSERT OR REPLACE INTO gaps (\(StoredGap.columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    ).execute(
      arguments: [
        shard, Int64(record), stored.node.name, Int(stored.reason.rawValue),
        stored.ticks?.lowerBound.unixMilliseconds, stored.ticks?.upperBound.unixMilliseconds,
        stored.sequences.map { Int64($0.lowerBound) }, stored.sequences.map { Int64($0.upperBound) },
        stored.checksum(shard: shard, record: record),
      ])
  }

  // MARK: Care

  /// Removes gaps that end before `tick`, at most `rowsMax`; returns how many rows went.
  @discardableResult
  public func expire(before tick: Tick, rowsMax: Int = 10_000) throws(StoreError) -> Int {
    try database.write { db in
      try db.execute(
        sql: """
          DELETE FROM gaps WHERE (shard, record) IN
          (SELECT shard, record FROM gaps WHERE last_tick < ? LIMIT ?)
          """, arguments: [tick.unixMilliseconds, rowsMax])
      return db.changesCount
    }
  }

  /// SQLite's check of the whole file; `nil` when it is sound. Reads every page.
  public func problem() throws(StoreError) -> String? { try database.problem() }

  /// Opens or makes the file at `path`; a damaged one is made anew of its sound rows. The journal is read again for the
  /// rest, as far as it reaches.
  static func mended(path: String, say: (String) -> Void) throws(StoreError) -> History {
    let history = try Mending.open(
      path, say: say, open: { file throws(StoreError) in try History(path: file) },
      problems: { history throws(StoreError) in try history.problems() },
      refill: { history, rows throws(StoreError) in try history.refill(rows) }
    ).store
    if let damage = history.database.logDamage { say("\(damage); gap records are read again from the journal") }
    return history
  }

  private func problems() throws(StoreError) -> [String] {
    if let problem = try database.problem() { return [problem] }
    let damaged = try database.read { db in
      var damaged = 0
      let cursor = try Row.fetchCursor(db, sql: "SELECT \(StoredGap.columns) FROM gaps")
      while let row = try cursor.next() { if StoredGap(row) == nil { damaged += 1 } }
      return damaged
    }
    return damaged > 0 ? ["\(damaged) gap records are damaged"] : []
  }

  /// Puts the sound gap records of a damaged file into this one, which is new. How far the journal was applied is not
  /// taken over: it is read again, and what it has replaces what is there.
  private func refill(_ rows: SalvagedRows) throws(StoreError) -> Int {
    var taken = 0
    try database.write { db in
      try rows.eachRow { row in
        guard let record = StoredGap.read(row) else { return }
        try Self.insert(record.gap, shard: record.shard, record: record.record, db)
        taken += 1
      }
    }
    return taken
  }
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

  /// The columns of a stored gap, in their order.
  static let columns =
    "shard, record, node, reason, first_tick, last_tick, first_sequence, last_sequence, checksum"

  /// A row of ``columns``; `nil` when it is not what was written.
  init?(_ row: Row) {
    guard let found = StoredGap.read(SalvagedRow(row)) else { return nil }
    self = found.gap
  }

  /// A row of ``columns`` wherever it was found; `nil` when it is not what was written.
  static func read(_ row: SalvagedRow) -> (shard: Int, record: UInt64, gap: StoredGap)? {
    guard row.values.count == 9, let shard = row.integer(0), let record = row.integer(1), let name = row.text(2),
      let node = NodeID(name), let code = row.integer(3),
      let reason = GapReason(rawValue: GapReason.RawValue(truncatingIfNeeded: code)), Int64(reason.rawValue) == code,
      let firstTick = row.optionalInteger(4), let lastTick = row.optionalInteger(5),
      let firstSequence = row.optionalInteger(6), let lastSequence = row.optionalInteger(7)
    else { return nil }
    var ticks: ClosedRange<Tick>?
    if let firstTick, let lastTick {
      guard firstTick <= lastTick else { return nil }
      ticks = Tick(unixMilliseconds: firstTick)...Tick(unixMilliseconds: lastTick)
    }
    var sequences: ClosedRange<UInt64>?
    if let firstSequence, let lastSequence {
      guard firstSequence >= 0, firstSequence <= lastSequence else { return nil }
      sequences = UInt64(firstSequence)...UInt64(lastSequence)
    }
    let gap = StoredGap(node: node, reason: reason, ticks: ticks, sequences: sequences)
    guard (0..<Int64(StoreLimits.shardsMax)).contains(shard),
      row.integer(8) == gap.checksum(shard: Int(shard), record: UInt64(bitPattern: record))
    else { return nil }
    return (Int(shard), UInt64(bitPattern: record), gap)
  }

  private init(node: NodeID, reason: GapReason, ticks: ClosedRange<Tick>?, sequences: ClosedRange<UInt64>?) {
    self.node = node
    self.reason = reason
    self.ticks = ticks
    self.sequences = sequences
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
