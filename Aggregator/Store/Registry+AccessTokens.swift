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
    try change { db in
      try Self.put(token, secretHash, isNew: true, db)
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
    let rows = try database.read { db in
      try Row.fetchAll(db, sql: "SELECT * FROM access_tokens ORDER BY created_ms DESC, id").map { SalvagedRow($0) }
    }
    return try rows.map { row throws(StoreError) in
      guard let found = Self.accessToken(row) else {
        throw .damaged(
          path: database.path, message: "the entry of access token '\(row.text(0) ?? "")' is not what was written")
      }
      return found
    }
  }

  /// Ends the token of this identifier, or the active one of this name; ending it twice is no error.
  ///
  /// - Returns: the token as it is now; `nil` when there is none.
  public func revokeAccessToken(_ name: String, by actor: String, at now: Tick) throws(StoreError) -> AccessToken? {
    try change { db in
      let find = "SELECT * FROM access_tokens WHERE id = ? OR name = ? ORDER BY revoked_ms IS NOT NULL, created_ms DESC"
      guard
        let known = try Row.fetchOne(db, sql: find, arguments: [name, name])
          .flatMap({ Self.accessToken(SalvagedRow($0)) })
      else { return nil }
      guard known.token.revokedAt == nil else { return known.token }
      let revoked = known.token.revoked(at: now)
      try Self.put(revoked, known.secretHash, isNew: false, db)
      try Self.note(
        AuditEntry(at: now, actor: actor, action: "access_token_revoked", subject: revoked.name, detail: revoked.id), db
      )
      return revoked
    }
  }

  /// Puts a token in, or in the place of what it was.
  static func put(_ token: AccessToken, _ secretHash: [UInt8], isNew: Bool, _ db: Database) throws {
    try db.execute(
      sql: """
        INSERT \(isNew ? "" : "OR REPLACE") INTO access_tokens
        (id, name, secret_hash, role, matchers, created_ms, expires_ms, revoked_ms, checksum)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
      arguments: [
        token.id, token.name, Data(secretHash), token.role, token.matchers.joined(separator: "\n"),
        token.createdAt.unixMilliseconds, token.expiresAt?.unixMilliseconds, token.revokedAt?.unixMilliseconds,
        checksum(token, secretHash, withRevocation: true),
      ])
  }

  /// A row of `access_tokens` wherever it was found; `nil` when it is not what was written: a role must not grow by accident,
  /// nor a token come back.
  ///
  /// - Parameter withRevocation: whether the time of revocation is in the checksum, as from version 3 on.
  static func accessToken(
    _ row: SalvagedRow, withRevocation: Bool = true
  ) -> (token: AccessToken, secretHash: [UInt8])? {
    guard row.values.count == 9, let id = row.text(0), let name = row.text(1), let hash = row.bytes(2),
      let role = row.text(3), let matchers = row.text(4), let created = row.integer(5),
      let expires = row.optionalInteger(6), let revoked = row.optionalInteger(7)
    else { return nil }
    let token = AccessToken(
      id: id, name: name, role: role,
      matchers: matchers.isEmpty ? [] : matchers.split(separator: "\n").map(String.init),
      createdAt: Tick(unixMilliseconds: created), expiresAt: expires.map { Tick(unixMilliseconds: $0) },
      revokedAt: revoked.map { Tick(unixMilliseconds: $0) })
    return row.integer(8) == checksum(token, hash, withRevocation: withRevocation) ? (token, hash) : nil
  }

  private static func checksum(_ token: AccessToken, _ secretHash: [UInt8], withRevocation: Bool) -> Int64 {
    var checksum = RowChecksum()
    for text in [token.id, token.name, token.role, token.matchers.joined(separator: "\n")] { checksum.add(text) }
    checksum.add(secretHash)
    checksum.add(token.createdAt.unixMilliseconds)
    checksum.add(token.expiresAt?.unixMilliseconds)
    if withRevocation { checksum.add(token.revokedAt?.unixMilliseconds) }
    return checksum.value
  }
}

extension AccessToken {
  /// The token ended at `instant`.
  fileprivate func revoked(at instant: Tick) -> AccessToken {
    AccessToken(
      id: id, name: name, role: role, matchers: matchers, createdAt: createdAt, expiresAt: expiresAt,
      revokedAt: instant)
  }
}
