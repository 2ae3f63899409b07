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

  /// The token after one more machine came in.
  func used() -> JoinToken {
    JoinToken(
      id: id, createdAt: createdAt, expiresAt: expiresAt, usesTotal: usesTotal, usesLeft: usesLeft - 1,
      nodePatterns: nodePatterns, comment: comment, revokedAt: revokedAt)
  }

  /// The token closed at `instant`.
  func revoked(at instant: Tick) -> JoinToken {
    JoinToken(
      id: id, createdAt: createdAt, expiresAt: expiresAt, usesTotal: usesTotal, usesLeft: usesLeft,
      nodePatterns: nodePatterns, comment: comment, revokedAt: instant)
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
    try change { db in
      try Self.put(token, secretHash, isNew: true, db)
      try Self.note(
        AuditEntry(
          at: token.createdAt, actor: actor, action: "token_created", subject: token.id,
          detail: "\(token.usesTotal) uses, expires at \(token.expiresAt.unixMilliseconds) ms"), db)
    }
  }

  /// All tokens, newest first.
  public func tokens() throws(StoreError) -> [JoinToken] {
    try database.read { db in
      try Row.fetchAll(db, sql: "SELECT * FROM join_tokens ORDER BY created_ms DESC, id")
        .compactMap { Self.joinToken(SalvagedRow($0))?.token }
    }
  }

  /// Closes a token; closing it twice is no error.
  ///
  /// - Returns: the token as it is now; `nil` when there is none of this id.
  public func revokeToken(_ id: String, by actor: String, at now: Tick) throws(StoreError) -> JoinToken? {
    try change { db in
      guard let known = try Self.stored("id = ?", [id], db) else { return nil }
      guard known.token.revokedAt == nil else { return known.token }
      let revoked = known.token.revoked(at: now)
      try Self.put(revoked, known.secretHash, isNew: false, db)
      try Self.note(AuditEntry(at: now, actor: actor, action: "token_revoked", subject: id), db)
      return revoked
    }
  }

  private static func stored(
    _ condition: String, _ arguments: StatementArguments, _ db: Database
  ) throws -> (token: JoinToken, secretHash: [UInt8])? {
    try Row.fetchOne(db, sql: "SELECT * FROM join_tokens WHERE \(condition)", arguments: arguments)
      .flatMap { joinToken(SalvagedRow($0)) }
  }

  /// The token whose secret has this hash. All hashes are compared in full, so that the time tells nothing.
  static func token(secretHash: [UInt8], _ db: Database) throws -> JoinToken? {
    var found: JoinToken?
    let cursor = try Row.fetchCursor(db, sql: "SELECT * FROM join_tokens")
    while let row = try cursor.next() {
      guard let (token, stored) = joinToken(SalvagedRow(row)) else { continue }
      var difference: UInt8 = stored.count == secretHash.count ? 0 : 1
      for (left, right) in zip(stored, secretHash) { difference |= left ^ right }
      if difference == 0 { found = token }
    }
    return found
  }

  // MARK: Rows

  /// Puts a token in, or in the place of what it was.
  static func put(_ token: JoinToken, _ secretHash: [UInt8], isNew: Bool, _ db: Database) throws {
    try db.execute(
      sql: """
        INSERT \(isNew ? "" : "OR REPLACE") INTO join_tokens
        (id, secret_hash, created_ms, expires_ms, uses_total, uses_left, patterns, comment, revoked_ms, checksum)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
      arguments: [
        token.id, Data(secretHash), token.createdAt.unixMilliseconds, token.expiresAt.unixMilliseconds,
        token.usesTotal, token.usesLeft, token.nodePatterns.joined(separator: "\n"), token.comment,
        token.revokedAt?.unixMilliseconds, checksum(token, secretHash),
      ])
  }

  /// A row of `join_tokens` wherever it was found; `nil` when it is not what was written.
  static func joinToken(_ row: SalvagedRow) -> (token: JoinToken, secretHash: [UInt8])? {
    guard let (token, hash) = joinTokenAsRead(row) else { return nil }
    return row.integer(9) == checksum(token, hash) ? (token, hash) : nil
  }

  /// The same without looking at its checksum, which version 2 did not have.
  static func joinTokenAsRead(_ row: SalvagedRow) -> (token: JoinToken, secretHash: [UInt8])? {
    guard row.values.count == 10, let id = row.text(0), let hash = row.bytes(1), let created = row.integer(2),
      let expires = row.integer(3), let total = row.integer(4), let left = row.integer(5),
      let patterns = row.text(6), let comment = row.optionalText(7), let revoked = row.optionalInteger(8)
    else { return nil }
    let token = JoinToken(
      id: id, createdAt: Tick(unixMilliseconds: created), expiresAt: Tick(unixMilliseconds: expires),
      usesTotal: Int(total), usesLeft: Int(left),
      nodePatterns: patterns.isEmpty ? [] : patterns.split(separator: "\n").map(String.init), comment: comment,
      revokedAt: revoked.map { Tick(unixMilliseconds: $0) })
    return (token, hash)
  }

  private static func checksum(_ token: JoinToken, _ secretHash: [UInt8]) -> Int64 {
    var checksum = RowChecksum()
    for text in ["join_tokens", token.id, token.nodePatterns.joined(separator: "\n"), token.comment ?? "\u{0}"] {
      checksum.add(text)
    }
    checksum.add(secretHash)
    for number in [token.createdAt.unixMilliseconds, token.expiresAt.unixMilliseconds] { checksum.add(number) }
    for number in [token.usesTotal, token.usesLeft] { checksum.add(Int64(number)) }
    checksum.add(token.revokedAt?.unixMilliseconds)
    return checksum.value
  }
}
