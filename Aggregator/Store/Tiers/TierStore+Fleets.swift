internal import BongsuModel
internal import Foundation
internal import GRDB

/// Under which fleet minutes were formed. A minute that is formed again, since rows came late, keeps the fleet that it was
/// formed by first: a changed fleet file rewrites nothing, unless it is asked for.
extension TierStore {
  static let keepFleets: @Sendable (Database) throws -> Void = { db in
    try db.execute(
      sql: """
        CREATE TABLE fleets (number INTEGER PRIMARY KEY, body BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;
        ALTER TABLE minutes ADD COLUMN fleet INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE dirty ADD COLUMN restates INTEGER NOT NULL DEFAULT 0;
        """)
  }

  /// The number of a fleet; given to it when it is new. 0 stands for one that is not known.
  func fleetNumber(_ body: [UInt8]) throws(StoreError) -> Int64 {
    guard !body.isEmpty else { return 0 }
    return try database.write { db in
      let known = try Row.fetchAll(
        db, sql: "SELECT number, body, checksum FROM fleets WHERE body = ?", arguments: [Data(body)])
      for row in known {
        let number: Int64 = row["number"]
        if self.sound(row, id: number) != nil { return number }
      }
      let number = (try Int64.fetchOne(db, sql: "SELECT max(number) FROM fleets") ?? 0) + 1
      try self.put("fleets", number, body, db, key: "number")
      return number
    }
  }

  /// A fleet by its number; `nil` when it is not known, or damaged.
  func fleet(_ number: Int64) throws(StoreError) -> [UInt8]? {
    guard number > 0 else { return nil }
    return try database.read { db in
      let row = try Row.fetchOne(db, sql: "SELECT body, checksum FROM fleets WHERE number = ?", arguments: [number])
      return row.flatMap { self.sound($0, id: number) }
    }
  }

  /// The fleet that a stored minute was formed by; `nil` when the minute is not stored.
  func fleet(ofMinute minute: Int64) throws(StoreError) -> Int64? {
    try database.read { db in
      try Int64.fetchOne(db, sql: "SELECT fleet FROM minutes WHERE minute = ?", arguments: [minute])
    }
  }

  /// How many minutes that end after `first` were formed by another fleet and can be formed again.
  func restatable(from first: Tick, fleet: Int64) throws(StoreError) -> Int {
    let bound = restatementBound(first)
    return try database.read { db in
      try Int.fetchOne(
        db, sql: "SELECT count(*) FROM minutes WHERE minute >= ? AND fleet != ?", arguments: [bound, fleet]) ?? 0
    }
  }

  /// Asks for those minutes to be formed anew by `fleet`; tells how many.
  func restate(from first: Tick, fleet: Int64) throws(StoreError) -> Int {
    let bound = restatementBound(first)
    let mark = nextMark()
    return try database.write { db in
      try db.execute(
        sql: """
          INSERT INTO dirty (minute, mark, since_ms, restates)
          SELECT minute, ?, 0, 1 FROM minutes WHERE minute >= ? AND fleet != ?
          ON CONFLICT (minute) DO UPDATE SET mark = excluded.mark, since_ms = 0, restates = 1
          """, arguments: [mark, bound, fleet])
      return db.changesCount
    }
  }

  /// The end of the first minute that can be formed again.
  private func restatementBound(_ first: Tick) -> Int64 { max(first.unixMilliseconds + 1, lateFloor + 60_000) }

  /// Forgets fleets that no minute was formed by which can be formed again.
  static func dropFleets(but present: Int64, _ db: Database) throws {
    try db.execute(
      sql: "DELETE FROM fleets WHERE number != ? AND number NOT IN (SELECT DISTINCT fleet FROM minutes)",
      arguments: [present])
  }
}
