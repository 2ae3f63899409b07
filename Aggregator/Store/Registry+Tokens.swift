public import BongsuModel
internal import Foundation
internal import GRDB

/// A join token, without its secret.
public struct JoinToken: Hashable, Sendable {
  public let id: String
  public let createdAt: Tick
  public let expiresAt: Tick
  public let usesTotal: Int
  public let usesLeft: Int
  /// Node patterns that it is limited to; empty for any node.
  public let nodePatterns: [String]
  public let comment: String?
  public let revokedAt: Tick?

  /// Describes a token that lets `uses` machines in until `expiresAt`.
  public init(
    id: String, createdAt: Tick, expiresAt: Tick, uses: Int, nodePatterns: [String] = [], comment: String? = nil
  ) {
    precondition(uses > 0, "\(uses) uses")
    self.init(
      id: id, createdAt: createdAt, expiresAt: expiresAt, usesTotal: uses, usesLeft: uses, nodePatterns: nodePatterns,
      comment: comment, revokedAt: nil)
  }

  init(
    id: String, createdAt: Tick, expiresAt: Tick, usesTotal: Int, usesLeft: Int, nodePatterns: [String],
    comment: String?, revokedAt: Tick?
  ) {
    self.id = id
    self.createdAt = createdAt
    self.expiresAt = expiresAt
    self.usesTotal = usesTotal
    self.usesLeft = usesLeft
    self.nodePatterns = nodePatterns
    self.comment = comment
    self.revokedAt = revokedAt
  }
}

extension Registry {
  /// Keeps a token under the hash of its secret. The secret has to be random and long: the hash is not salted.
  public func add(_ token: JoinToken, secretHash: [UInt8], by actor: String) throws(StoreError) {
    precondition(secretHash.count == 32, "hash of \(secretHash.count) bytes")
    try database.write { db in
      try db.execute(
        sql: """
          INSERT INTO join_tokens
          (id, secret_hash, created_ms, expires_ms, uses_total, uses_left, patterns, comment, revoked_ms)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)
          """,
        arguments: [
          token.id, Data(secretHash), token.createdAt.unixMilliseconds, token.expiresAt.unixMilliseconds,
          token.usesTotal, token.usesLeft, token.nodePatterns.joined(separator: "\n"), token.comment,
        ])
      try Self.note(
        AuditEntry(
          at: token.createdAt, actor: actor, action: "token_created", subject: token.id,
          detail: "\(token.usesTotal) uses, expires at \(token.expiresAt.unixMilliseconds) ms"), db)
    }
  }

  /// All tokens, newest first.
  public func tokens() throws(StoreError) -> [JoinToken] {
    try database.read { db in
      try Row.fetchAll(db, sql: "SELECT * FROM join_tokens ORDER BY created_ms DESC, id").map(Self.token)
    }
  }

  /// Closes a token; closing it twice is no error.
  ///
  /// - Returns: the token as it is now; `nil` when there is none of this id.
  public func revokeToken(_ id: String, by actor: String, at now: Tick) throws(StoreError) -> JoinToken? {
    try database.write { db in
      let find = "SELECT * FROM join_tokens WHERE id = ?"
      guard let known = try Row.fetchOne(db, sql: find, arguments: [id]).map(Self.token) else { return nil }
      guard known.revokedAt == nil else { return known }
      try db.execute(
        sql: "UPDATE join_tokens SET revoked_ms = ? WHERE id = ?", arguments: [now.unixMilliseconds, id])
      try Self.note(AuditEntry(at: now, actor: actor, action: "token_revoked", subject: id), db)
      return try Row.fetchOne(db, sql: find, arguments: [id]).map(Self.token)
    }
  }

  /// The token whose secret has this hash. All hashes are compared in full, so that the time tells nothing.
  static func token(secretHash: [UInt8], _ db: Database) throws -> JoinToken? {
    var found: JoinToken?
    let cursor = try Row.fetchCursor(db, sql: "SELECT * FROM join_tokens")
    while let row = try cursor.next() {
      let stored: Data = row["secret_hash"]
      var difference: UInt8 = stored.count == secretHash.count ? 0 : 1
      for (left, right) in zip(stored, secretHash) { difference |= left ^ right }
      if difference == 0 { found = token(row) }
    }
    return found
  }

  private static func token(_ row: Row) -> JoinToken {
    let patterns: String = row["patterns"]
    let revoked: Int64? = row["revoked_ms"]
    return JoinToken(
      id: row["id"], createdAt: Tick(unixMilliseconds: row["created_ms"]),
      expiresAt: Tick(unixMilliseconds: row["expires_ms"]), usesTotal: row["uses_total"], usesLeft: row["uses_left"],
      nodePatterns: patterns.isEmpty ? [] : patterns.split(separator: "\n").map(String.init), comment: row["comment"],
      revokedAt: revoked.map { Tick(unixMilliseconds: $0) })
  }
}
