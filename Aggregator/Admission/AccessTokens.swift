public import BongsuModel
public import BongsuStore
internal import Synchronization

/// The tokens of the HTTP API: kept in the registry under their hashes, known by heart so that every request can be judged
/// at once.
///
/// Thread rule: ``find(secret:at:)`` from any thread, without waiting for the disk; the rest from any thread, blocking.
public final class AccessTokens: Sendable {
  private let registry: Registry
  private let known: Mutex<[[UInt8]: AccessToken]>
  /// Held by whoever changes tokens, so that a late reader of the registry never brings an ended token back.
  private let changing = Mutex(())

  /// What secrets begin with, so that people and scanners recognise one that has strayed.
  public static let secretPrefix = "bgs_"

  /// Reads all tokens that `registry` holds, ended ones too. Throws what the disk refuses.
  public init(registry: Registry) throws {
    self.registry = registry
    known = Mutex(try Self.read(registry))
  }

  /// The token whose secret this is, if it opens anything at `now`.
  ///
  /// Looked up by the hash of a secret of 256 random bits: how long that takes tells at most of the hash of what was given,
  /// from which nobody gets nearer to a secret. The bytes themselves are compared without an early exit.
  public func find(secret: String, at now: Tick) -> AccessToken? {
    guard secret.hasPrefix(Self.secretPrefix) else { return nil }
    let hash = SecretHash.of(Array(secret.utf8))
    return known.withLock { known -> AccessToken? in
      guard let index = known.index(forKey: hash), Self.isEqual(known[index].key, hash) else { return nil }
      return known[index].value
    }.flatMap { $0.isActive(at: now) ? $0 : nil }
  }

  /// Makes a token.
  ///
  /// - Returns: the token and the only copy of its secret.
  /// - Throws: `Registrar.Objection` when an active token has the name already, or too many are kept.
  public func create(
    name: String, role: String, matchers: [String], lifeSeconds: Int64?, by actor: String, at now: Tick
  ) throws -> (secret: String, token: AccessToken) {
    try changing.withLock { _ in
      try make(name: name, role: role, matchers: matchers, lifeSeconds: lifeSeconds, by: actor, at: now)
    }
  }

  private func make(
    name: String, role: String, matchers: [String], lifeSeconds: Int64?, by actor: String, at now: Tick
  ) throws -> (secret: String, token: AccessToken) {
    let all = try registry.accessTokens()
    guard !all.contains(where: { $0.token.name == name && $0.token.isActive(at: now) }) else {
      throw Registrar.Objection(
        what: "a token called '\(name)' is there already", nextStep: "choose another name, or revoke that one first")
    }
    guard all.count < AdmissionLimits.accessTokensMax else {
      throw Registrar.Objection(
        what: "\(AdmissionLimits.accessTokensMax) access tokens are kept already",
        nextStep: "share tokens among those with the same rights")
    }
    var random = SystemRandomNumberGenerator()  // getrandom(2)
    let bytes = (0..<32).map { _ in UInt8.random(in: 0...255, using: &random) }
    let secret = Self.secretPrefix + bytes.map { Self.hex($0) }.joined()
    let number = UInt64.random(in: 0...(.max), using: &random) & 0xFF_FFFF_FFFF
    let token = AccessToken(
      id: "at-" + String(1 << 40 | number, radix: 16).dropFirst(), name: name, role: role, matchers: matchers,
      createdAt: now, expiresAt: lifeSeconds.map { Tick(unixMilliseconds: now.unixMilliseconds + $0 * 1000) })
    try registry.add(token, secretHash: SecretHash.of(Array(secret.utf8)), by: actor)
    try reload()
    return (secret, token)
  }

  /// All tokens that are kept, newest first.
  public func tokens() throws -> [AccessToken] { try registry.accessTokens().map(\.token) }

  /// Ends a token, by identifier or name; `nil` when there is none.
  public func revoke(_ name: String, by actor: String, at now: Tick) throws -> AccessToken? {
    try changing.withLock { _ in
      let token = try registry.revokeAccessToken(name, by: actor, at: now)
      try reload()
      return token
    }
  }

  private func reload() throws {
    let read = try Self.read(registry)
    known.withLock { $0 = read }
  }

  private static func read(_ registry: Registry) throws -> [[UInt8]: AccessToken] {
    Dictionary(try registry.accessTokens().map { ($0.secretHash, $0.token) }, uniquingKeysWith: { first, _ in first })
  }

  private static func isEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    var difference: UInt8 = left.count == right.count ? 0 : 1
    for (leftByte, rightByte) in zip(left, right) { difference |= leftByte ^ rightByte }
    return difference == 0
  }

  private static func hex(_ byte: UInt8) -> String {
    let digits = String(byte, radix: 16)
    return digits.utf8.count == 1 ? "0" + digits : digits
  }
}
