public import BongsuModel
internal import Foundation
internal import GRDB

/// A token of the HTTP API, without its secret.
public struct AccessToken: Hashable, Sendable {
  public let id: String
  public let name: String
  /// Role in the API's words.
  public let role: String
  /// Matchers that narrow what it sees.
  public let matchers: [String]
  public let createdAt: Tick
  /// `nil`: never.
  public let expiresAt: Tick?
  public let revokedAt: Tick?

  public init(
    id: String, name: String, role: String, matchers: [String], createdAt: Tick, expiresAt: Tick?,
    revokedAt: Tick? = nil
  ) {
    self.id = id
    self.name = name
    self.role = role
    self.matchers = matchers
    self.createdAt = createdAt
    self.expiresAt = expiresAt
    self.revokedAt = revokedAt
  }

  /// Whether it opens anything at `now`.
  public func isActive(at now: Tick) -> Bool { revokedAt == nil && (expiresAt.map { now < $0 } ?? true) }
}

extension Registry {
  static let createAccessTokens: @Sendable (Database) throws -> Void = { db in
    try db.execute(
      sql: """
        CREATE TABLE access_tokens (
          id TEXT PRIMARY KEY, name TEXT NOT NULL, secret_hash BLOB NOT NULL UNIQUE, role TEXT NOT NULL,
          matchers TEXT NOT NULL, created_ms INTEGER NOT NULL, expires_ms INTEGER, revoked_ms INTEGER,
          checksum INTEGER NOT NULL
        ) STRICT;
        """)
  }

  /// Keeps a token under the hash of its secret, which has to be random and long: the hash is not salted.
  public func add(_ token: AccessToken, secretHash: [UInt8], by actor: String) throws(StoreError) {
    precondition(secretHash.count == 32, "hash of \(secretHash.count) bytes")
    try database.write { db in
      try db.execute(
        sql: """
          INSERT INTO access_tokens
          (id, name, secret_hash, role, matchers, created_ms, expires_ms, revoked_ms, checksum)
          VALUES (?, ?, ?, ?, ?, ?, ?, NULL, ?)
          """,
        arguments: [
          token.id, token.name, Data(secretHash), token.role, token.matchers.joined(separator: "\n"),
          token.createdAt.unixMilliseconds, token.expiresAt?.unixMilliseconds, Self.checksum(token, secretHash),
        ])
      let scope = token.matchers.isEmpty ? "everything" : token.matchers.joined(separator: " ")
      try Self.note(
        AuditEntry(
          at: token.createdAt, actor: actor, action: "access_token_created", subject: token.name,
          detail: "\(token.id), \(token.role), \(scope)"), db)
    }
  }

  /// All tokens with the hashes of their secrets, newest first.
  ///
  /// - Throws: ``StoreError/damaged(path:message:)`` when one is not what was written: a role must not grow by accident.
  public func accessTokens() throws(StoreError) -> [(token: AccessToken, secretHash: [UInt8])] {
    let read = try database.read { db in
      try Row.fetchAll(db, sql: "SELECT * FROM access_tokens ORDER BY created_ms DESC, id").map { row in
        let hash: Data = row["secret_hash"]
        let checksum: Int64 = row["checksum"]
        return (Self.accessToken(row), [UInt8](hash), checksum)
      }
    }
    if let odd = read.first(where: { Self.checksum($0.0, $0.1) != $0.2 }) {
      throw .damaged(
        path: database.path, message: "the entry of access token '\(odd.0.id)' is not what was written")
    }
    return read.map { ($0.0, $0.1) }
  }

  /// Ends the token of this identifier, or the active one of this name; ending it twice is no error.
  ///
  /// - Returns: the token as it is now; `nil` when there is none.
  public func revokeAccessToken(_ name: String, by actor: String, at now: Tick) throws(StoreError) -> AccessToken? {
    try database.write { db in
      let find = "SELECT * FROM access_tokens WHERE id = ? OR name = ? ORDER BY revoked_ms IS NOT NULL, created_ms DESC"
      guard let known = try Row.fetchOne(db, sql: find, arguments: [name, name]).map(Self.accessToken) else {
        return nil
      }
      guard known.revokedAt == nil else { return known }
      try db.execute(
        sql: "UPDATE access_tokens SET revoked_ms = ? WHERE id = ?", arguments: [now.unixMilliseconds, known.id])
      try Self.note(
        AuditEntry(at: now, actor: actor, action: "access_token_revoked", subject: known.name, detail: known.id), db)
      return AccessToken(
        id: known.id, name: known.name, role: known.role, matchers: known.matchers, createdAt: known.createdAt,
        expiresAt: known.expiresAt, revokedAt: now)
    }
  }

  private static func accessToken(_ row: Row) -> AccessToken {
    let matchers: String = row["matchers"]
    let expires: Int64? = row["expires_ms"]
    let revoked: Int64? = row["revoked_ms"]
    return AccessToken(
      id: row["id"], name: row["name"], role: row["role"],
      matchers: matchers.isEmpty ? [] : matchers.split(separator: "\n").map(String.init),
      createdAt: Tick(unixMilliseconds: row["created_ms"]), expiresAt: expires.map { Tick(unixMilliseconds: $0) },
      revokedAt: revoked.map { Tick(unixMilliseconds: $0) })
  }

  /// Over everything but the time of revocation, which only takes rights away.
  private static func checksum(_ token: AccessToken, _ secretHash: [UInt8]) -> Int64 {
    var checksum = RowChecksum()
    for text in [token.id, token.name, token.role, token.matchers.joined(separator: "\n")] { checksum.add(text) }
    checksum.add(secretHash)
    checksum.add(token.createdAt.unixMilliseconds)
    checksum.add(token.expiresAt?.unixMilliseconds)
    return checksum.value
  }
}
