/// Decides whether a request may do what it asks. Pure: it sees header values and an address, nothing else.
///
/// With a token configured every request must carry it. Without one, reading is open to whoever reaches the port and
/// changing is for this machine alone: the peer's address must be loopback, the `Host` must name loopback (a page that
/// points its own name at 127.0.0.1 carries its own name there), and a browser's `Origin`, where there is one, must be
/// the very address that the request went to.
struct AccessGate: Sendable {
  /// What a request wants.
  enum Right: Sendable {
    /// Tells nothing but whether we live; always given.
    case probe
    case read
    case change
  }

  /// What is known of a request.
  struct Request: Sendable {
    var peerAddress: String?
    var authorization: String?
    var authority: String?
    var origin: String?
  }

  /// The configured token, `nil` when there is none.
  let token: String?

  /// Who asks, when the request may have `right`; a refusal otherwise.
  func admit(_ request: Request, for right: Right) throws(APIError) -> Operator {
    let address = request.peerAddress ?? "unknown"
    if right == .probe { return Operator(address: address, credential: "none") }
    if let token {
      try checkToken(request.authorization, against: token)
      return Operator(address: address, credential: "admin-token")
    }
    let isLocal = request.peerAddress.map(LoopbackRule.isLoopback(address:)) ?? false
    if right == .read { return Operator(address: address, credential: isLocal ? "loopback" : "none") }
    guard isLocal else {
      throw APIError(
        .forbidden, "changes are accepted from this machine only, the request came from \(address)",
        nextStep: "run the command on the aggregator's machine, or configure a token there")
    }
    let host = LoopbackRule.host(ofAuthority: request.authority ?? "")
    guard LoopbackRule.isLoopback(host: host) else {
      throw APIError(
        .forbidden,
        "changes without a token must be addressed to loopback, the request names \"\(host.quotedForMessage)\"",
        nextStep: "use http://127.0.0.1 and the port, or configure a token")
    }
    if let origin = request.origin, origin != "http://" + (request.authority ?? "") {
      throw APIError(
        .forbidden, "a page of \"\(origin.quotedForMessage)\" may not change anything here",
        nextStep: "use the bongsu command")
    }
    return Operator(address: address, credential: "loopback")
  }

  private func checkToken(_ authorization: String?, against token: String) throws(APIError) {
    let nextStep = "set BONGSU_TOKEN or give --token"
    guard let authorization else { throw APIError(.unauthenticated, "no token was given", nextStep: nextStep) }
    let scheme = "bearer "
    guard authorization.count > scheme.count, authorization.prefix(scheme.count).lowercased() == scheme else {
      throw APIError(.unauthenticated, "the authorization is not of the form \"Bearer TOKEN\"", nextStep: nextStep)
    }
    guard Self.isEqualInConstantTime(authorization.dropFirst(scheme.count).utf8, token.utf8) else {
      throw APIError(.unauthenticated, "the token is not known", nextStep: nextStep)
    }
  }

  /// Compares without an early exit, so that the time taken tells the length at most.
  static func isEqualInConstantTime(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Bool {
    var difference: UInt8 = left.count == right.count ? 0 : 1
    for (leftByte, rightByte) in zip(left, right) { difference |= leftByte ^ rightByte }
    return difference == 0
  }
}
