internal import BongsuReports
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore

/// Who may see what: tokens, and the page's way to come with one.
///
/// A browser cannot add a header to the page's own requests, and a token in an address would end up in histories and
/// logs. So the page posts its token once and gets it back as a cookie that no script can read and no other site sends.
struct AccessRoutes {
  let control: (any AccessTokenControl)?
  let gate: AccessGate
  let isEncrypted: Bool

  static let cookieName = "bongsu_token"

  func install(in table: inout RouteTable) {
    let control = control
    @Sendable func required() throws(APIError) -> any AccessTokenControl {
      guard let control else { throw .notAvailable("access tokens") }
      return control
    }
    table.on(.get, "/api/bongsu/v1/tokens", right: .administer) { request, _, _ in
      _ = try QueryParameters(request.uri.query, allowed: [])
      let control = try required()
      return try JSONText.response(
        AccessTokenList(tokens: await withAnswerDeadline { try await control.accessTokens() }))
    }
    table.on(.post, "/api/bongsu/v1/tokens", right: .administer) { request, context, person in
      _ = try QueryParameters(request.uri.query, allowed: [])
      let control = try required()
      let asked = try await JSONText.body(of: request, as: AccessTokenRequest.self)
      if let objection = asked.objection {
        throw APIError(.badParameter, objection, nextStep: "see `bongsu token create --help`")
      }
      _ = try AccessScope(asked.matchers)
      let created = try await withAnswerDeadline { try await control.createAccessToken(asked, by: person) }
      Self.log("access token created", person, context, ["token": "\(created.token.name)"])
      return try JSONText.response(created, status: .created)
    }
    table.on(.post, "/api/bongsu/v1/tokens/:name/revoke", right: .administer) { request, context, person in
      _ = try QueryParameters(request.uri.query, allowed: [])
      let control = try required()
      let name = context.parameters.get("name") ?? ""
      guard let token = try await withAnswerDeadline({ try await control.revokeAccessToken(name, by: person) }) else {
        throw APIError(
          .notFound, "no access token is called \"\(name.quotedForMessage)\"",
          nextStep: "list them with `bongsu token list`")
      }
      Self.log("access token revoked", person, context, ["token": "\(token.name)"])
      return try JSONText.response(token)
    }
    table.on(.get, "/api/bongsu/v1/whoami", right: .read) { request, _, person in
      _ = try QueryParameters(request.uri.query, allowed: [])
      return try JSONText.response(person.report)
    }
    installLogin(in: &table)
  }

  private func installLogin(in table: inout RouteTable) {
    let gate = gate
    let isEncrypted = isEncrypted
    table.on(.post, "/api/bongsu/v1/login", right: .probe) { request, context, nobody in
      _ = try QueryParameters(request.uri.query, allowed: [])
      try AccessGate.checkOrigin(
        AccessGate.Request(
          authority: request.head.authority, origin: request.headers[.origin], isEncrypted: isEncrypted))
      let login = try await JSONText.body(of: request, as: Login.self)
      guard login.token.utf8.count <= APILimits.tokenBytesMax else {
        throw APIError(
          .badParameter, "the token has \(login.token.utf8.count) bytes", nextStep: "check what was pasted")
      }
      let person = try gate.identify(login.token, at: nobody.address)
      guard person.tokenName != nil else {
        throw APIError(
          .forbidden, "the token of the configuration is for programs", nextStep: "make one with `bongsu token create`")
      }
      Self.log("login", person, context, [:])
      var response = try JSONText.response(person.report)
      response.headers[.setCookie] = Self.cookie(login.token, seconds: APILimits.loginSecondsMax, isEncrypted)
      return response
    }
    table.on(.post, "/api/bongsu/v1/logout", right: .probe) { _, _, _ in
      var response = Response(status: .noContent)
      response.headers[.setCookie] = Self.cookie("", seconds: 0, isEncrypted)
      return response
    }
  }

  /// The body of a login.
  private struct Login: Decodable {
    let token: String
  }

  /// Tokens that are kept here have no character that would have to be escaped.
  private static func cookie(_ value: String, seconds: Int, _ isEncrypted: Bool) -> String {
    "\(cookieName)=\(value); Path=/; Max-Age=\(seconds); HttpOnly; SameSite=Strict\(isEncrypted ? "; Secure" : "")"
  }

  /// The token in a `Cookie` header.
  static func token(inCookies header: String?) -> String? {
    guard let header else { return nil }
    for pair in header.split(separator: ";") {
      let text = pair.drop { $0 == " " }
      guard text.hasPrefix(cookieName + "=") else { continue }
      let value = text.dropFirst(cookieName.count + 1)
      return value.isEmpty ? nil : String(value)
    }
    return nil
  }

  private static func log(
    _ what: Logger.Message, _ person: Operator, _ context: APIRequestContext, _ facts: Logger.Metadata
  ) {
    let who: Logger.Metadata = ["address": "\(person.address)", "credential": "\(person.credential)"]
    context.logger.notice(what, metadata: facts.merging(who) { first, _ in first })
  }
}

extension Operator {
  /// What somebody may know of themselves.
  var report: AccessReport { AccessReport(name: tokenName, role: role, matchers: scope.texts) }
}
