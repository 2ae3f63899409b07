public import BongsuReports

/// What a token lets its bearer do.
public struct AccessGrant: Hashable, Sendable {
  /// Names the token in the audit log; not its secret.
  public var id: String
  public var name: String
  public var role: AccessRole
  public var scope: AccessScope

  public init(id: String, name: String, role: AccessRole, scope: AccessScope) {
    self.id = id
    self.name = name
    self.role = role
    self.scope = scope
  }
}

/// The tokens that people and programs come with.
public protocol AccessTokenControl: Sendable {
  /// What `secret` grants now; `nil` when no token has it, or one that expired or was revoked. Asked at every request;
  /// must not wait for anything.
  func grant(forSecret secret: String) -> AccessGrant?

  /// Makes a token. The API has checked the request.
  func createAccessToken(_ request: AccessTokenRequest, by person: Operator) async throws -> CreatedAccessToken

  /// All tokens that are kept, expired and revoked ones included, newest first.
  func accessTokens() async throws -> [AccessTokenReport]

  /// Ends a token, by identifier or name; ending one twice is no error. `nil` when there is none.
  func revokeAccessToken(_ name: String, by person: Operator) async throws -> AccessTokenReport?
}
