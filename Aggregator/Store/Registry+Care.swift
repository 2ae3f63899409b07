internal import BongsuModel
internal import Foundation
internal import GRDB

extension Registry {
  /// Opens or makes the file at `path`; a damaged one is made anew of its sound entries. Whoever's entry is lost has to join
  /// again, or needs a new token.
  ///
  /// - Parameter say: told when the file was damaged.
  public static func mended(path: String, say: (String) -> Void) throws(StoreError) -> Registry {
    let registry = try Mending.open(
      path, say: say, open: { file throws(StoreError) in try Registry(path: file) }, problems: { _ in [] },
      refill: { registry, rows throws(StoreError) in try registry.refill(rows) }
    ).store
    if let damage = registry.database.logDamage { say("\(damage); look at bongsu nodes list and bongsu token list") }
    return registry
  }

  /// One change, in the file itself when this returns: what stands in the write-ahead log alone has one place where a byte
  /// can take it away.
  func change<Result>(_ body: (Database) throws -> Result) throws(StoreError) -> Result {
    let result = try database.write(body)
    _ = try database.checkpoint()
    return result
  }

  /// Version 2 had no checksum of join tokens and audit entries, nor of an access token's end.
  static let addChecksums: @Sendable (Database) throws -> Void = { db in
    for table in ["join_tokens", "audit"] {
      try db.execute(sql: "ALTER TABLE \(table) ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0")
    }
    for row in try Row.fetchAll(db, sql: "SELECT * FROM join_tokens") {
      guard let (token, hash) = joinTokenAsRead(SalvagedRow(row)) else { continue }
      try put(token, hash, isNew: false, db)
    }
    for row in try Row.fetchAll(db, sql: "SELECT * FROM access_tokens") {
      guard let (token, hash) = accessToken(SalvagedRow(row), withRevocation: false) else { continue }
      try put(token, hash, isNew: false, db)
    }
    for row in try Row.fetchAll(db, sql: "SELECT * FROM audit") {
      guard let id = row.integer(0), let entry = auditEntryAsRead(SalvagedRow(row)) else { continue }
      try put(entry, id, db)
    }
  }

  // MARK: Audit entries

  static func put(_ entry: AuditEntry, _ id: Int64, _ db: Database) throws {
    try db.execute(
      sql: """
        INSERT OR REPLACE INTO audit (id, at_ms, actor, action, subject, detail, checksum) VALUES (?, ?, ?, ?, ?, ?, ?)
        """,
      arguments: [
        id, entry.at.unixMilliseconds, entry.actor, entry.action, entry.subject, entry.detail, checksum(entry, id),
      ])
  }

  /// A row of `audit` wherever it was found; `nil` when it is not what was written.
  static func auditEntry(_ id: Int64, _ row: SalvagedRow) -> AuditEntry? {
    guard let entry = auditEntryAsRead(row), row.integer(6) == checksum(entry, id) else { return nil }
    return entry
  }

  private static func auditEntryAsRead(_ row: SalvagedRow) -> AuditEntry? {
    guard row.values.count == 7, let at = row.integer(1), let actor = row.text(2), let action = row.text(3),
      let subject = row.text(4), let detail = row.text(5)
    else { return nil }
    return AuditEntry(
      at: Tick(unixMilliseconds: at), actor: actor, action: action, subject: subject, detail: detail)
  }

  private static func checksum(_ entry: AuditEntry, _ id: Int64) -> Int64 {
    var checksum = RowChecksum()
    checksum.add(id)
    checksum.add(entry.at.unixMilliseconds)
    for text in ["audit", entry.actor, entry.action, entry.subject, entry.detail] { checksum.add(text) }
    return checksum.value
  }

  // MARK: Damage

  /// Join tokens and audit log, against their checksums.
  func checkRest() throws(StoreError) {
    let damaged = try database.read { db in
      var damaged = 0
      let tokens = try Row.fetchCursor(db, sql: "SELECT * FROM join_tokens")
      while let row = try tokens.next() { if Self.joinToken(SalvagedRow(row)) == nil { damaged += 1 } }
      let entries = try Row.fetchCursor(db, sql: "SELECT * FROM audit")
      while let row = try entries.next() {
        if row.integer(0).flatMap({ Self.auditEntry($0, SalvagedRow(row)) }) == nil { damaged += 1 }
      }
      return damaged
    }
    if damaged > 0 {
      throw .damaged(
        path: database.path, message: "\(damaged) join tokens or entries of the audit log are not what was written")
    }
  }

  /// Puts the sound entries of a damaged file into this one, which is new; returns how many.
  private func refill(_ rows: SalvagedRows) throws(StoreError) -> Int {
    var taken = 0
    try database.write { db in
      try rows.eachRow { row in
        if let node = Self.node(row) {
          try Self.put(node, db)
        } else if let (token, hash) = Self.accessToken(row) {
          try Self.put(token, hash, isNew: false, db)
        } else if let (token, hash) = Self.joinToken(row) {
          try Self.put(token, hash, isNew: false, db)
        } else if let id = row.rowid, let entry = Self.auditEntry(id, row) {
          try Self.put(entry, id, db)
        } else {
          return
        }
        taken += 1
      }
    }
    _ = try database.checkpoint()
    return taken
  }
}
