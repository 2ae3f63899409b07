public import BongsuModel
internal import Foundation
internal import GRDB

/// Who may speak for which node, who was let in by which token, and what was done by whom: one SQLite file.
///
/// Secrets never get here: of a join token and an access token only its hash is kept, of a node only its public key. Every change leaves an
/// entry in the audit log, in the same transaction.
///
/// Small and precious: it is checked as a whole when it is opened. ``mended(path:say:)`` makes a damaged file anew of its
/// sound entries; what is lost only takes rights away. Every change leaves the write-ahead log at once, so that there is
/// nothing in it to lose.
///
/// Thread rule: from any thread, blocking.
public final class Registry: Sendable {
  let database: StoreDatabase

  /// Opens or makes the file at `path` and checks it.
  ///
  /// - Throws: ``StoreError/damaged(path:message:)`` when it is not sound.
  public init(path: String) throws(StoreError) {
    database = try StoreDatabase(
      path: path, version: StoreLimits.registryVersion,
      migrations: [Self.createTables, Self.createAccessTokens, Self.addChecksums])
    if let problem = try database.problem() { throw .damaged(path: path, message: problem) }
    let unsound = try database.read { db in try Self.unsoundNode(db) }
    if let unsound { throw .damaged(path: path, message: "the entry of node '\(unsound)' is not what was written") }
    _ = try accessTokens()
    try checkRest()
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
      ).compactMap { row in row.integer(0).flatMap { Self.auditEntry($0, SalvagedRow(row)) } }
    }
  }

  /// Adds an entry of its own, for what the registry does not do itself.
  public func note(_ entry: AuditEntry) throws(StoreError) {
    try change { db in try Self.note(entry, db) }
  }

  static func note(_ entry: AuditEntry, _ db: Database) throws {
    func cut(_ text: String) -> String { String(text.prefix(StoreLimits.textBytesMax / 4)) }
    let newest = (try Int64.fetchOne(db, sql: "SELECT max(id) FROM audit") ?? 0) + 1
    try put(
      AuditEntry(
        at: entry.at, actor: cut(entry.actor), action: entry.action, subject: cut(entry.subject),
        detail: cut(entry.detail)), newest, db)
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
