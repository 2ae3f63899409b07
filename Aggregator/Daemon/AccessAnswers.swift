import BongsuAPI
import BongsuAdmission
import BongsuModel
import BongsuReports
import BongsuStore
import Foundation
import Synchronization

/// Judges the tokens that requests come with, and makes and ends them.
final class AccessAnswers: AccessTokenControl {
  private let tokens: AccessTokens
  /// Grants of tokens met so far, so that matchers are compiled once and not at every request.
  private let grants = Mutex<[String: AccessGrant]>([:])

  init(tokens: AccessTokens) {
    self.tokens = tokens
  }

  private static var now: Tick { Tick(unixMilliseconds: Int64(Date().timeIntervalSince1970 * 1000)) }

  func grant(forSecret secret: String) -> AccessGrant? {
    guard let token = tokens.find(secret: secret, at: Self.now) else { return nil }
    if let known = grants.withLock({ $0[token.id] }) { return known }
    // A role or matcher that this build cannot read grants nothing.
    guard let role = AccessRole(rawValue: token.role), let scope = try? AccessScope(token.matchers) else { return nil }
    let grant = AccessGrant(id: token.id, name: token.name, role: role, scope: scope)
    grants.withLock { $0[token.id] = grant }
    return grant
  }

  func createAccessToken(_ request: AccessTokenRequest, by person: Operator) async throws -> CreatedAccessToken {
    let tokens = tokens
    return try await IngestService.onThread("access-tokens") {
      do {
        let (secret, token) = try tokens.create(
          name: request.name, role: request.role.rawValue, matchers: request.matchers,
          lifeSeconds: request.lifeSeconds, by: person.name, at: Self.now)
        return CreatedAccessToken(secret: secret, token: try AccessTokenReport(token, at: Self.now))
      } catch let objection as Registrar.Objection {
        throw APIError(.badParameter, objection.what, nextStep: objection.nextStep)
      }
    }
  }

  func accessTokens() async throws -> [AccessTokenReport] {
    let tokens = tokens
    return try await IngestService.onThread("access-tokens") {
      try tokens.tokens().map { try AccessTokenReport($0, at: Self.now) }
    }
  }

  func revokeAccessToken(_ name: String, by person: Operator) async throws -> AccessTokenReport? {
    let tokens = tokens
    return try await IngestService.onThread("access-tokens") {
      try tokens.revoke(name, by: person.name, at: Self.now).map { try AccessTokenReport($0, at: Self.now) }
    }
  }
}

extension AccessTokenReport {
  init(_ token: AccessToken, at now: Tick) throws {
    guard let role = AccessRole(rawValue: token.role) else {
      throw StartFailure("access token \(token.id) has the role '\(token.role)', which this release does not know")
    }
    self.init(
      id: token.id, name: token.name, role: role, matchers: token.matchers,
      state: token.revokedAt != nil ? .revoked : token.isActive(at: now) ? .active : .expired,
      createdUnixMilliseconds: token.createdAt.unixMilliseconds,
      expiresUnixMilliseconds: token.expiresAt?.unixMilliseconds)
  }
}
