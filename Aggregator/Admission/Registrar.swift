public import BongsuEnrolment
internal import BongsuFleet
public import BongsuMetrics
public import BongsuModel
public import BongsuStore
public import BongsuTransport
internal import Foundation
internal import Synchronization

/// Who may join and who may stay: the registry on disk and the key table in memory, changed together.
///
///     bongsu join-token create ──▶ createToken ──▶ registry
///     port 7421 ─────────────────▶ answer ───────▶ registry, then table
///     bongsu nodes revoke ───────▶ revoke ───────▶ table, then registry
///
/// A key is let in only after the registry has it on disk, and kept out before the registry has been asked.
///
/// Thread rule: any thread; blocks on the disk, so not for data-plane threads.
public final class Registrar: Sendable {
  /// Where machines reach this aggregator.
  public struct Places: Sendable {
    public var enrolment: [HostPort]
    /// For each receiver of the ingest core, where it is reached; nodes are spread over the receivers by their names. An
    /// empty host stands for the one by which a machine came to the enrolment port.
    public var ingest: [[HostPort]]

    /// - Precondition: `ingest` has an entry for each receiver, one at least.
    public init(enrolment: [HostPort], ingest: [[HostPort]]) {
      precondition(!ingest.isEmpty, "an aggregator has a receiver")
      self.enrolment = enrolment
      self.ingest = ingest
    }

    /// Where `node` is sent: the same receiver for the same node and number of receivers (FNV-1a of the name).
    func ingest(of node: NodeID) -> [HostPort] {
      var hash: UInt64 = 0xCBF2_9CE4_8422_2325
      for byte in node.name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
      // The upper half, since the lower one chooses the shard.
      return ingest[Int((hash >> 32) % UInt64(ingest.count))]
    }
  }

  /// Which keys are let in: for the context's authority, and for the ingest core.
  public let table: KeyTable
  private let registry: Registry
  private let serverKey: PublicKey
  private let places = Mutex<Places?>(nil)
  /// Held while one node changes, so that registry and table see changes in the same order.
  private let changing = Mutex<Void>(())
  private let joined: Counter
  private let denied: ReasonCounters<DenialReason>
  let news = AdmissionNews()

  /// Loads what `registry` has.
  public init(registry: Registry, serverKey: PublicKey, metrics: MetricRegistry) throws {
    self.registry = registry
    self.serverKey = serverKey
    table = KeyTable(try registry.nodes(), metrics: metrics, news: news)
    joined = metrics.counter("bongsu_enrolment_joined_total", help: "Machines that were let in")
    denied = metrics.counters(
      "bongsu_enrolment_refused_total", help: "Machines that asked to join and were refused, by reason",
      label: "reason")
  }

  /// Says where this aggregator listens; join strings and answers name it. To be called once the ports are known.
  public func advertise(_ places: Places) { self.places.withLock { $0 = places } }

  /// Lines that people should see, oldest first; forgets them.
  public func takeNews() -> [String] { news.take() }

  // MARK: Tokens

  /// Makes a token that lets `uses` machines in for `lifeSeconds`.
  ///
  /// - Returns: the token and the only copy of its join string.
  /// - Throws: ``Objection`` for a pattern that is none; `StoreError`.
  public func createToken(
    uses: Int, lifeSeconds: Int64, patterns: [String], comment: String?, by actor: String
  ) throws -> (string: JoinString, token: JoinToken) {
    for pattern in patterns {
      do throws(NamePattern.Invalid) {
        _ = try NamePattern(pattern)
      } catch {
        throw Objection(what: "node pattern '\(pattern)': \(error)", nextStep: error.remedy)
      }
    }
    guard let places = places.withLock({ $0 }) else {
      throw Objection(what: "the enrolment port is not open yet", nextStep: "try again in a second")
    }
    guard try registry.tokens().count < AdmissionLimits.tokensMax else {
      throw Objection(
        what: "\(AdmissionLimits.tokensMax) join tokens are kept already",
        nextStep: "make tokens with more uses instead")
    }
    var random = SystemRandomNumberGenerator()  // getrandom(2)
    let secret = (0..<EnrolmentLimits.secretBytes).map { _ in UInt8.random(in: 0...255, using: &random) }
    let number = UInt64.random(in: 0...(.max), using: &random) & 0xFF_FFFF_FFFF
    let now = unixMilliseconds()
    let token = JoinToken(
      id: "jt-" + String(1 << 40 | number, radix: 16).dropFirst(), createdAt: Tick(unixMilliseconds: now),
      expiresAt: Tick(unixMilliseconds: now + lifeSeconds * 1000), uses: uses, nodePatterns: patterns, comment: comment)
    try registry.add(token, secretHash: SecretHash.of(secret), by: actor)
    return (JoinString(serverKey: serverKey, secret: secret, endpoints: places.enrolment), token)
  }

  /// All tokens that are kept, newest first.
  public func tokens() throws -> [JoinToken] { try registry.tokens() }

  /// Closes a token; `nil` when there is none of this id.
  public func revokeToken(_ id: String, by actor: String) throws -> JoinToken? {
    try registry.revokeToken(id, by: actor, at: Tick(unixMilliseconds: unixMilliseconds()))
  }

  /// What has happened, newest first.
  public func audit(limit: Int) throws -> [AuditEntry] { try registry.audit(limit: limit) }

  // MARK: Nodes

  /// Withdraws a node's key: from the return on no connection can be opened with it. Connections that stand are the
  /// ingest core's to cut.
  ///
  /// - Returns: the node as it is now; `nil` when it never joined.
  /// - Throws: `StoreError` when the disk refuses; the key is kept out all the same until the next start.
  public func revoke(_ node: NodeID, by actor: String) throws -> RegisteredNode? {
    try changing.withLock { _ in
      guard let known = table.member(node) else { return nil }
      let now = Tick(unixMilliseconds: unixMilliseconds())
      table.put(known.revoked(at: now))
      guard let stored = try registry.revoke(node, by: actor, at: now) else { return nil }
      table.put(stored)
      return stored
    }
  }

  /// Decides about one machine that asks to join, and lets it in if its token says so.
  ///
  /// - Parameters:
  ///   - key: the one by which its connection is encrypted.
  ///   - onJoined: called before the machine is told, when its node was let in.
  func join(
    _ request: JoinRequest, key: PublicKey, from address: String, onJoined: (NodeID) -> Void
  ) -> EnrolmentFrame {
    guard let places = places.withLock({ $0 }) else {
      return deny(.unavailable, request.node, address, "the aggregator is starting", "try again in a few seconds", 2000)
    }
    let now = unixMilliseconds()
    do {
      let refusal = try changing.withLock { _ in
        let refusal = try registry.join(
          request.node, publicKey: key.bytes, secretHash: SecretHash.of(request.secret), from: address,
          at: Tick(unixMilliseconds: now),
          matches: { pattern, node in (try? NamePattern(pattern))?.matches(node.name) ?? false })
        if refusal == nil, let stored = try registry.node(request.node) { table.put(stored) }
        return refusal
      }
      if let refusal { return deny(refusal, request.node, address) }
    } catch {
      news.say("the registry cannot be written, nobody can join: \(error)", topic: "registry", at: now)
      return deny(
        .unavailable, request.node, address, "the aggregator cannot write its registry",
        "free its disk (bongsu status), then try again", 30_000)
    }
    joined.add()
    news.say("node \(request.node) joined from \(address) with agent \(request.agentVersion), key \(key)")
    onJoined(request.node)
    return .accepted(
      JoinAcceptance(node: request.node, endpoints: places.ingest(of: request.node), serverKey: serverKey))
  }

  // MARK: Refusals

  /// Refuses a request that did not get as far as the registry.
  func deny(
    _ reason: DenialReason, _ node: NodeID?, _ address: String, _ detail: String, _ nextStep: String,
    _ retryAfter: Int64 = 0
  ) -> EnrolmentFrame {
    denied[reason].add()
    let asked = node.map { " for node \($0)" } ?? ""
    news.say(
      "\(address) asked to join\(asked) and was refused: \(detail)",
      topic: "join \(reason.rawValue) \(address) \(node?.name ?? "")", at: unixMilliseconds())
    return .refused(
      JoinDenial(reason, detail: detail, nextStep: nextStep, retryAfterMilliseconds: UInt32(clamping: retryAfter)))
  }

  private func deny(_ refusal: JoinRefusal, _ node: NodeID, _ address: String) -> EnrolmentFrame {
    let another = "make another one with bongsu join-token create"
    switch refusal {
    case .unknownToken:
      return deny(.unknownToken, node, address, "the join token is not known here", another)
    case .revokedToken(let id):
      return deny(.revokedToken, node, address, "join token \(id) is revoked", another)
    case .expiredToken(let id, let at):
      return deny(.expiredToken, node, address, "join token \(id) expired at \(Self.text(at))", another)
    case .spentToken(let id, let uses):
      return deny(
        .spentToken, node, address, "join token \(id) has let in the \(uses) machines it was made for", another)
    case .wrongNode(let id, let patterns):
      return deny(
        .wrongNode, node, address, "join token \(id) is for \(patterns.joined(separator: ", ")), not for node \(node)",
        "join as one of those with --node, or make a token for this node")
    case .nodeTaken(let since):
      return deny(
        .nodeTaken, node, address,
        "node \(node) was joined by another machine or installation at \(Self.text(since))",
        "if this machine replaces it, run bongsu nodes revoke \(node) and join again; else join with another --node")
    case .keyTaken(let owner):
      return deny(
        .keyTaken, node, address, "this key belongs to node \(owner)",
        "let each machine join by itself, with its own key")
    case .keyRevoked:
      return deny(.keyRevoked, node, address, "the key of node \(node) was revoked", "join again with a new key")
    }
  }

  private static func text(_ tick: Tick) -> String {
    Date(timeIntervalSince1970: Double(tick.unixMilliseconds / 1000)).formatted(.iso8601)
  }

  /// Something asked for that cannot be done as it is.
  public struct Objection: Error, Hashable, Sendable, CustomStringConvertible {
    public let what: String
    public let nextStep: String

    public var description: String { "\(what); \(nextStep)" }
  }
}
