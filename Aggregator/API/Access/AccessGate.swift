internal import BongsuReports

/// Decides whether a request may do what it asks. Pure but for the look at the tokens: it sees header values and an
/// address, nothing else.
///
/// Whoever comes with a token is judged by it, wherever the request comes from: its role says what may be done, its scope
/// what may be seen. Without one, this machine is trusted (the peer's address must be loopback, and to change anything the
/// `Host` must name loopback, since a page that points its own name at 127.0.0.1 carries its own name there), unless
/// tokens are required of everybody; other machines may read only where the operator has said that the network is trusted.
///
/// A browser's `Origin`, where there is one, must be the very address that a change went to.
struct AccessGate: Sendable {
  /// What a request wants.
  enum Right: Sendable {
    /// Tells nothing but whether we live; always given.
    case probe
    /// Reads what belongs to the scope; the handler narrows its answer to it.
    case read
    /// Reads figures of the whole, which no scope covers.
    case readWhole
    /// Changes something within the scope, which the handler minds: cuts a node off.
    case changeOwn
    /// Changes something that concerns all: who may join, who is cut off.
    case change
    /// Makes and ends tokens.
    case administer
  }

  /// What is known of a request.
  struct Request: Sendable {
    var peerAddress: String?
    var authorization: String?
    var authority: String?
    var origin: String?
    /// The token in the page's cookie.
    var cookie: String?
    /// Whether the connection is encrypted.
    var isEncrypted = false
  }

  /// The configured token, `nil` when there is none.
  let token: String?
  /// Tokens that are kept; `nil` where none can be.
  var tokens: (any AccessTokenControl)?
  /// Whether this machine needs a token as well.
  var requiresToken = false
  /// Whether other machines may read without a token.
  var isOpenToRead = true

  /// Who asks, when the request may have `right`; a refusal otherwise.
  func admit(_ request: Request, for right: Right) throws(APIError) -> Operator {
    let address = request.peerAddress ?? "unknown"
    if right == .probe { return Operator(address: address, credential: "none", role: .viewer) }
    if let secret = try Self.secret(request) {
      let person = try identify(secret, at: address)
      try Self.check(person, right)
      // A browser sends a cookie by itself, a header never.
      if request.authorization == nil, right != .read, right != .readWhole { try Self.checkOrigin(request) }
      return person
    }
    if token != nil || requiresToken { throw Self.unauthenticated("no token was given") }
    let isLocal = request.peerAddress.map(LoopbackRule.isLoopback(address:)) ?? false
    switch right {
    case .probe, .read, .readWhole:
      guard isLocal || isOpenToRead else { throw Self.unauthenticated("no token was given") }
      return Operator(
        address: address, credential: isLocal ? "loopback" : "none", role: isLocal ? .admin : .viewer)
    case .changeOwn, .change, .administer: break
    }
    guard isLocal else {
      throw APIError(
        .forbidden, "changes are accepted from this machine only, the request came from \(address)",
        nextStep: "run the command on the aggregator's machine, or use a token with a role that may")
    }
    let host = LoopbackRule.host(ofAuthority: request.authority ?? "")
    guard LoopbackRule.isLoopback(host: host) else {
      throw APIError(
        .forbidden,
        "changes without a token must be addressed to loopback, the request names \"\(host.quotedForMessage)\"",
        nextStep: "use http://127.0.0.1 and the port, or use a token")
    }
    try Self.checkOrigin(request)
    return Operator(address: address, credential: "loopback")
  }

  /// Whose secret it is.
  func identify(_ secret: String, at address: String) throws(APIError) -> Operator {
    if let token, Self.isEqualInConstantTime(secret.utf8, token.utf8) {
      return Operator(address: address, credential: "admin-token")
    }
    guard let grant = tokens?.grant(forSecret: secret) else { throw Self.unauthenticated("the token is not known") }
    return Operator(
      address: address, credential: "token \(grant.name)", tokenName: grant.name, role: grant.role, scope: grant.scope)
  }

  private static func secret(_ request: Request) throws(APIError) -> String? {
    guard let authorization = request.authorization else { return request.cookie }
    let scheme = "bearer "
    guard authorization.count > scheme.count, authorization.prefix(scheme.count).lowercased() == scheme else {
      throw unauthenticated("the authorization is not of the form \"Bearer TOKEN\"")
    }
    return String(authorization.dropFirst(scheme.count))
  }

  private static func check(_ person: Operator, _ right: Right) throws(APIError) {
    switch right {
    case .probe, .read: return
    case .readWhole:
      guard person.scope.isUnlimited else {
        throw APIError(
          .forbidden, "this address tells of the whole, and the token sees a part of it",
          nextStep: "ask /api/v1/query, which answers for that part")
      }
    case .changeOwn: try require(person, [.operator, .admin])
    case .change:
      try require(person, [.operator, .admin])
      guard person.scope.isUnlimited else {
        throw APIError(
          .forbidden, "this changes something that concerns all, and the token stands for a part",
          nextStep: "use a token without matchers")
      }
    case .administer: try require(person, [.admin])
    }
  }

  private static func require(_ person: Operator, _ roles: [AccessRole]) throws(APIError) {
    guard roles.contains(person.role) else {
      throw APIError(
        .forbidden, "the role \(person.role.rawValue) may not do this",
        nextStep: "use a token of the role \(roles.map(\.rawValue).joined(separator: " or "))")
    }
  }

  /// Refuses what a page of somebody else's sends.
  static func checkOrigin(_ request: Request) throws(APIError) {
    guard let origin = request.origin else { return }
    guard origin == (request.isEncrypted ? "https://" : "http://") + (request.authority ?? "") else {
      throw APIError(
        .forbidden, "a page of \"\(origin.quotedForMessage)\" may not change anything here",
        nextStep: "use the bongsu command")
    }
  }

  private static func unauthenticated(_ what: String) -> APIError {
    APIError(.unauthenticated, what, nextStep: "set BONGSU_TOKEN or give --token")
  }

  /// Compares without an early exit, so that the time taken tells the length at most.
  static func isEqualInConstantTime(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Bool {
    var difference: UInt8 = left.count == right.count ? 0 : 1
    for (leftByte, rightByte) in zip(left, right) { difference |= leftByte ^ rightByte }
    return difference == 0
  }
}
