import BongsuAPI
import BongsuAdmission
import BongsuEnrolment
import BongsuIngest
import BongsuModel
import BongsuReports
import BongsuStore
import BongsuTransport
import Foundation

/// Carries out what operators ask about tokens and nodes.
struct EnrolmentAnswers: EnrolmentControl {
  let registrar: Registrar
  let engine: IngestEngine
  let live: LiveAnswers

  func createJoinTokens(_ request: JoinTokenRequest, by person: Operator) async throws -> [CreatedJoinToken] {
    let registrar = registrar
    return try await IngestService.onThread("join-tokens") {
      try (0..<request.count).map { _ in
        do {
          let (string, token) = try registrar.createToken(
            uses: request.uses, lifeSeconds: request.lifeSeconds, patterns: request.nodePatterns,
            comment: request.comment, by: person.name)
          return CreatedJoinToken(joinString: string.text, token: JoinTokenReport(token))
        } catch let objection as Registrar.Objection {
          throw APIError(.badParameter, objection.what, nextStep: objection.nextStep)
        }
      }
    }
  }

  func joinTokens() async throws -> [JoinTokenReport] {
    let registrar = registrar
    return try await IngestService.onThread("join-tokens") { try registrar.tokens().map { JoinTokenReport($0) } }
  }

  func revokeJoinToken(_ id: String, by person: Operator) async throws -> JoinTokenReport? {
    let registrar = registrar
    return try await IngestService.onThread("join-tokens") {
      try registrar.revokeToken(id, by: person.name).map { JoinTokenReport($0) }
    }
  }

  func revokeNode(_ name: String, by person: Operator) async throws -> NodeReport? {
    guard let node = NodeID(name) else { return nil }
    let registrar = registrar
    let engine = engine
    let revoked = try await IngestService.onThread("revoke") {
      // The session is cut even when the disk refuses to remember why.
      defer { if registrar.table.member(node)?.revokedAt != nil { engine.setRevoked(true, node) } }
      return try registrar.revoke(node, by: person.name)
    }
    guard revoked != nil else {
      guard try await live.node(named: name) != nil else { return nil }
      throw APIError(
        .notFound, "node \(name) has not joined, so it has no key that could be revoked",
        nextStep: "see `bongsu nodes show \(name)`")
    }
    return try await live.node(named: name)
  }
}

/// What is answered when agents need no keys.
struct NoEnrolment: EnrolmentControl {
  private var refusal: APIError {
    APIError(
      .notAvailable, "agents of this aggregator connect without keys",
      nextStep: "start bongsu-aggregator with --secure, or listen beyond loopback")
  }

  func createJoinTokens(_ request: JoinTokenRequest, by person: Operator) async throws -> [CreatedJoinToken] {
    throw refusal
  }
  func joinTokens() async throws -> [JoinTokenReport] { throw refusal }
  func revokeJoinToken(_ id: String, by person: Operator) async throws -> JoinTokenReport? { throw refusal }
  func revokeNode(_ name: String, by person: Operator) async throws -> NodeReport? { throw refusal }
}

extension Operator {
  /// As the audit log names it.
  var name: String { "\(credential) \(address)" }
}

extension JoinTokenReport {
  init(_ token: JoinToken) {
    let now = Int64(Date().timeIntervalSince1970 * 1000)
    let state: State =
      if token.revokedAt != nil {
        .revoked
      } else if token.expiresAt.unixMilliseconds <= now {
        .expired
      } else {
        token.usesLeft > 0 ? .open : .spent
      }
    self.init(
      id: token.id, state: state, createdUnixMilliseconds: token.createdAt.unixMilliseconds,
      expiresUnixMilliseconds: token.expiresAt.unixMilliseconds, usesTotal: token.usesTotal, usesLeft: token.usesLeft,
      nodePatterns: token.nodePatterns, comment: token.comment)
  }
}

extension NodeReport {
  /// A node that has joined, and that neither the fleet file nor a session tells of.
  init(joined node: RegisteredNode) {
    self.init(id: node.node.name, state: .missing)
    remark = "it has joined and has not delivered yet; is its agent running?"
    identify(node)
  }

  /// Adds what the registry knows.
  mutating func identify(_ node: RegisteredNode) {
    publicKey = (try? PublicKey(bytes: node.publicKey))?.z85
    enrolledUnixMilliseconds = node.enrolledAt.unixMilliseconds
    address = node.address
    guard let revoked = node.revokedAt else { return }
    revokedUnixMilliseconds = revoked.unixMilliseconds
    state = .revoked
    remark = "its key is revoked; let the machine join again with a new join string"
  }
}
