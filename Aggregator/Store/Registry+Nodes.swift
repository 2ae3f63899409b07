public import BongsuModel
internal import Foundation
internal import GRDB

/// A node that was let in.
public struct RegisteredNode: Hashable, Sendable {
  public let node: NodeID
  /// Its CURVE public key, 32 bytes.
  public let publicKey: [UInt8]
  public let enrolledAt: Tick
  /// Where it joined from, and with which token.
  public let address: String
  public let token: String
  /// When its key was withdrawn; `nil` while it is good.
  public let revokedAt: Tick?

  /// The node with its key withdrawn at `instant`, or earlier if it was withdrawn before.
  public func revoked(at instant: Tick) -> RegisteredNode {
    RegisteredNode(
      node: node, publicKey: publicKey, enrolledAt: enrolledAt, address: address, token: token,
      revokedAt: revokedAt ?? instant)
  }
}

/// Why a machine is not let in. Nothing changed but the audit log, and that only for tokens that exist.
public enum JoinRefusal: Hashable, Sendable, CustomStringConvertible {
  /// No token has this secret.
  case unknownToken
  case revokedToken(id: String)
  case expiredToken(id: String, expiredAt: Tick)
  case spentToken(id: String, uses: Int)
  /// The token is for other nodes.
  case wrongNode(id: String, patterns: [String])
  /// Another key speaks for this node.
  case nodeTaken(since: Tick)
  /// The key speaks, or spoke, for another node.
  case keyTaken(by: NodeID)
  /// The key was withdrawn; a new one has to be made.
  case keyRevoked

  public var description: String {
    switch self {
    case .unknownToken: "the join token is not known; make one with bongsu join-token create"
    case .revokedToken(let id): "join token \(id) is revoked; make one with bongsu join-token create"
    case .expiredToken(let id, let at):
      "join token \(id) expired at \(at.unixMilliseconds) ms; make one with bongsu join-token create"
    case .spentToken(let id, let uses): "join token \(id) has let in its \(uses) machines; make another one"
    case .wrongNode(let id, let patterns):
      "join token \(id) is for \(patterns.joined(separator: ", ")); make one for this node"
    case .nodeTaken(let since):
      "the node joined with another key at \(since.unixMilliseconds) ms; for a reinstalled machine run bongsu nodes revoke first"
    case .keyTaken(let node): "the key belongs to node \(node); let each machine make its own"
    case .keyRevoked: "the key is revoked; join again with a new one"
    }
  }
}

extension Registry {
  /// All nodes, in the order of their names.
  public func nodes() throws(StoreError) -> [RegisteredNode] {
    try database.read { db in
      try Row.fetchAll(db, sql: "SELECT * FROM nodes WHERE public_key IS NOT NULL ORDER BY name").compactMap(Self.node)
    }
  }

  /// One node; `nil` when it never joined.
  public func node(_ id: NodeID) throws(StoreError) -> RegisteredNode? {
    try database.read { db in try Self.fetch(id, db) }
  }

  /// Lets a machine in: checks the token, uses it once, and gives the node to the key, in one transaction.
  ///
  /// The same key joining as the same node again succeeds without using the token again, so that a machine that lost the
  /// answer may ask twice. A revoked node may be taken by a new key.
  ///
  /// - Parameters:
  ///   - secretHash: hash of the token's secret; compared in constant time.
  ///   - matches: whether a node's name fits a pattern of the fleet file's kind.
  /// - Returns: why it is not let in; `nil` when it is.
  public func join(
    _ node: NodeID, publicKey: [UInt8], secretHash: [UInt8], from address: String, at now: Tick,
    matches: (_ pattern: String, _ node: NodeID) -> Bool
  ) throws(StoreError) -> JoinRefusal? {
    precondition(publicKey.count == 32, "public key of \(publicKey.count) bytes")
    return try change { db in
      let refusal = try Self.admit(node, publicKey, secretHash, address, now, matches, db)
      // Whoever reaches the port can send an unknown secret, and would wash the log away.
      if let refusal, refusal != .unknownToken {
        try Self.note(
          AuditEntry(
            at: now, actor: address, action: "node_refused", subject: node.name, detail: "\(refusal)"), db)
      }
      return refusal
    }
  }

  private static func admit(
    _ node: NodeID, _ publicKey: [UInt8], _ secretHash: [UInt8], _ address: String, _ now: Tick,
    _ matches: (String, NodeID) -> Bool, _ db: Database
  ) throws -> JoinRefusal? {
    guard let token = try token(secretHash: secretHash, db) else { return .unknownToken }
    if token.revokedAt != nil { return .revokedToken(id: token.id) }
    if token.expiresAt <= now { return .expiredToken(id: token.id, expiredAt: token.expiresAt) }
    guard token.nodePatterns.isEmpty || token.nodePatterns.contains(where: { matches($0, node) }) else {
      return .wrongNode(id: token.id, patterns: token.nodePatterns)
    }
    if let known = try fetch(node, db), known.revokedAt == nil {
      // An answer that was lost on the way is given again.
      return known.publicKey == publicKey ? nil : .nodeTaken(since: known.enrolledAt)
    }
    let owner = try Row.fetchOne(db, sql: "SELECT * FROM nodes WHERE public_key = ?", arguments: [Data(publicKey)])
    if let owner = owner.flatMap(Self.node) { return owner.node == node ? .keyRevoked : .keyTaken(by: owner.node) }
    guard token.usesLeft > 0 else { return .spentToken(id: token.id, uses: token.usesTotal) }
    try put(token.used(), secretHash, isNew: false, db)
    let joined = RegisteredNode(
      node: node, publicKey: publicKey, enrolledAt: now, address: address, token: token.id, revokedAt: nil)
    try put(joined, db)
    try note(
      AuditEntry(at: now, actor: address, action: "node_joined", subject: node.name, detail: "token \(token.id)"), db)
    return nil
  }

  /// Withdraws a node's key; withdrawing it twice is no error.
  ///
  /// - Returns: the node as it is now; `nil` when it never joined.
  public func revoke(_ id: NodeID, by actor: String, at now: Tick) throws(StoreError) -> RegisteredNode? {
    try change { db in
      guard let known = try Self.fetch(id, db) else { return nil }
      guard known.revokedAt == nil else { return known }
      let revoked = known.revoked(at: now)
      try Self.put(revoked, db)
      try Self.note(AuditEntry(at: now, actor: actor, action: "node_revoked", subject: id.name), db)
      return revoked
    }
  }

  // MARK: Rows

  private static func fetch(_ id: NodeID, _ db: Database) throws -> RegisteredNode? {
    try Row.fetchOne(db, sql: "SELECT * FROM nodes WHERE name = ?", arguments: [id.name]).flatMap(node)
  }

  static func put(_ node: RegisteredNode, _ db: Database) throws {
    try db.execute(
      sql: """
        INSERT OR REPLACE INTO nodes (name, public_key, enrolled_ms, address, token, revoked_ms, checksum)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        """,
      arguments: [
        node.node.name, Data(node.publicKey), node.enrolledAt.unixMilliseconds, node.address, node.token,
        node.revokedAt?.unixMilliseconds, checksum(node),
      ])
  }

  private static func node(_ row: Row) -> RegisteredNode? { node(SalvagedRow(row)) }

  /// A row of `nodes` wherever it was found; `nil` when it is not what was written.
  static func node(_ row: SalvagedRow) -> RegisteredNode? {
    guard row.values.count == 7, let name = row.text(0), let id = NodeID(name), let key = row.bytes(1),
      let enrolled = row.integer(2), let address = row.text(3), let token = row.text(4),
      let revoked = row.optionalInteger(5)
    else { return nil }
    let node = RegisteredNode(
      node: id, publicKey: key, enrolledAt: Tick(unixMilliseconds: enrolled), address: address, token: token,
      revokedAt: revoked.map { Tick(unixMilliseconds: $0) })
    return row.integer(6) == checksum(node) ? node : nil
  }

  /// The name of a node whose row is not what was written; `nil` when all are sound.
  static func unsoundNode(_ db: Database) throws -> String? {
    let cursor = try Row.fetchCursor(db, sql: "SELECT * FROM nodes")
    while let row = try cursor.next() {
      if node(row) == nil { return row.text(0) ?? "" }
    }
    return nil
  }

  private static func checksum(_ node: RegisteredNode) -> Int64 {
    var checksum = RowChecksum()
    checksum.add(node.node.name)
    checksum.add(node.publicKey)
    checksum.add(node.enrolledAt.unixMilliseconds)
    checksum.add(node.address)
    checksum.add(node.token)
    checksum.add(node.revokedAt?.unixMilliseconds)
    return checksum.value
  }
}
