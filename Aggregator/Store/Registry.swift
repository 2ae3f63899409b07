public import BongsuModel
internal import Foundation
internal import GRDB

/// Who may speak for which node, who was let in by which token, and what was done by whom: one SQLite file.
///
/// Secrets never get here: of a join token and an access token only its hash is kept, of a node only its public key. Every change leaves an
/// entry in the audit log, in the same transaction.
///
/// Small and precious: it is checked as a whole when it is opened, and a damaged file is never used in part.
///
/// Thread rule: from any thread, blocking.
public final class Registry: Sendable {
  let database: StoreDatabase

  /// Opens or makes the file at `path` and checks it.
  ///
  /// - Throws: ``StoreError/damaged(path:message:)`` when it is not sound: restore it from a backup, or call
  ///   ``setAside(path:now:)`` and let the nodes join anew.
  public init(path: String) throws(StoreError) {
    database = try StoreDatabase(
      path: path, version: StoreLimits.registryVersion, migrations: [Self.createTables, Self.createAccessTokens])
    if let problem = try database.problem() { throw .damaged(path: path, message: problem) }
    let unsound = try database.read { db in try Self.unsoundNode(db) }
    if let unsound { throw .damaged(path: path, message: "the entry of node '\(unsound)' is not what was written") }
    _ = try accessTokens()
  }

  /// Renames a damaged file out of the way; it is kept for inspection.
  public static func setAside(path: String, now: Tick) throws(StoreError) {
    try StoreDatabase.setAside(path: path, now: now.unixMilliseconds)
  }

  private static let createTables: @Sendable (Database) throws -> Void = { db in
    try db.execute(
      sql: """
        CREATE TABLE nodes (
          name TEXT PRIMARY KEY, public_key BLOB UNIQUE, enrolled_ms INTEGER NOT NULL, address TEXT NOT NULL,
          token TEXT NOT NULL, revoked_ms INTEGER, checksum INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE join_tokens (
          id TEXT PRIMARY KEY, secret_hash BLOB NOT NULL UNIQUE, created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,
          uses_total INTEGER NOT NULL, uses_left INTEGER NOT NULL, patterns TEXT NOT NULL, comment TEXT,
          revoked_ms INTEGER
        ) STRICT;
        CREATE TABLE audit (
          id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
          subject TEXT NOT NULL, detail TEXT NOT NULL
        ) STRICT;
        """)
  }

  // MARK: Audit

  /// The newest entries of the audit log, newest first.
  public func audit(limit: Int) throws(StoreError) -> [AuditEntry] {
    try database.read { db in
      try Row.fetchAll(
        db, sql: "SELECT * FROM audit ORDER BY id DESC LIMIT ?", arguments: [min(limit, StoreLimits.auditEntriesMax)]
      ).map { row in
        AuditEntry(
          at: Tick(unixMilliseconds: row["at_ms"]), actor: row["actor"], action: row["action"],
          subject: row["subject"], detail: row["detail"])
      }
    }
  }

  /// Adds an entry of its own, for what the registry does not do itself.
  public func note(_ entry: AuditEntry) throws(StoreError) {
    try database.write { db in try Self.note(entry, db) }
  }

  static func note(_ entry: AuditEntry, _ db: Database) throws {
    func cut(_ text: String) -> String { String(text.prefix(StoreLimits.textBytesMax / 4)) }
    try db.execute(
      sql: "INSERT INTO audit (at_ms, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?)",
      arguments: [
        entry.at.unixMilliseconds, cut(entry.actor), entry.action, cut(entry.subject), cut(entry.detail),
      ])
    let newest = db.lastInsertedRowID
    if newest % 100 == 0 {
      try db.execute(sql: "DELETE FROM audit WHERE id <= ?", arguments: [newest - Int64(StoreLimits.auditEntriesMax)])
    }
  }
}

/// Who did what to whom, and when.
public struct AuditEntry: Hashable, Sendable {
  public var at: Tick
  /// Address and credential of the person or machine.
  public var actor: String
  /// What was done, in snake case: `node_joined`, `node_refused`, `node_revoked`, `token_created`, `token_revoked`, …
  public var action: String
  /// The node or token.
  public var subject: String
  public var detail: String

  public init(at: Tick, actor: String, action: String, subject: String, detail: String = "") {
    self.at = at
    self.actor = actor
    self.action = action
    self.subject = subject
    self.detail = detail
  }
}
