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
        guard let number = row.integer(0) else { continue }
        if self.sound(row, id: number, in: .fleets) != nil { return number }
      }
      // A number of which the fleet is lost is still that of its minutes.
      let newest = try Int64.fetchOne(
        db,
        sql: "SELECT max((SELECT coalesce(max(number), 0) FROM fleets), (SELECT coalesce(max(fleet), 0) FROM minutes))")
      let number = (newest ?? 0) + 1
      try self.put(.fleets, number, body, db)
      return number
    }
  }

  /// A fleet by its number; `nil` when it is not known, or damaged.
  func fleet(_ number: Int64) throws(StoreError) -> [UInt8]? {
    guard number > 0 else { return nil }
    return try database.read { db in
      let row = try Row.fetchOne(db, sql: "SELECT body, checksum FROM fleets WHERE number = ?", arguments: [number])
      return row.flatMap { self.sound($0, id: number, in: .fleets) }
    }
  }

  /// The fleet that a minute was formed by. Of one that is not stored between others, such as after its entry was lost with
  /// a damaged page, that of the one before. `nil`: it is new.
  func fleet(ofMinute minute: Int64) throws(StoreError) -> Int64? {
    try database.read { db in
      let row = try Row.fetchOne(
        db,
        sql: "SELECT minute, fingerprint, fleet, checksum FROM minutes WHERE minute <= ? ORDER BY minute DESC LIMIT 1",
        arguments: [minute])
      guard let row else { return nil }
      guard let found = row.integer(0), let fingerprint = row.integer(1), let fleet = row.integer(2),
        row.integer(3) == Self.sum(.minutes, found, fingerprint, fleet)
      else { throw StoreError.damaged(path: self.database.path, message: "a minute's entry is not what was written") }
      if found == minute { return fleet }
      let isBetween = try Int64.fetchOne(db, sql: "SELECT max(minute) FROM minutes") ?? minute > minute
      return isBetween ? fleet : nil
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
      let minutes = try Int64.fetchAll(
        db, sql: "SELECT minute FROM minutes WHERE minute >= ? AND fleet != ?", arguments: [bound, fleet])
      for minute in minutes { try self.mark(minute, mark, since: 0, restates: true, db) }
      return minutes.count
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
