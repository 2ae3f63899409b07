internal import BongsuReports
internal import HTTPTypes
internal import Hummingbird
internal import Logging

/// Who may join and who may stay. All of it needs the right to change things, the lists too: they tell who is expected.
struct EnrolmentRoutes {
  let control: (any EnrolmentControl)?
  let live: any LiveSource

  func install(in table: inout RouteTable) {
    let control = control
    let live = live
    @Sendable func required() throws(APIError) -> any EnrolmentControl {
      guard let control else { throw .notAvailable("enrolment") }
      return control
    }
    table.on(.get, "/api/bongsu/v1/join-tokens", right: .change) { request, _, _ in
      _ = try QueryParameters(request.uri.query, allowed: [])
      let control = try required()
      return try JSONText.response(JoinTokenList(tokens: await withAnswerDeadline { try await control.joinTokens() }))
    }
    table.on(.post, "/api/bongsu/v1/join-tokens", right: .change) { request, context, person in
      _ = try QueryParameters(request.uri.query, allowed: [])
      let control = try required()
      let asked = try await JSONText.body(of: request, as: JoinTokenRequest.self)
      if let objection = asked.objection {
        throw APIError(.badParameter, objection, nextStep: "see `bongsu join-token create --help`")
      }
      let created = try await withAnswerDeadline { try await control.createJoinTokens(asked, by: person) }
      Self.log("join tokens created", person, context, ["tokens": "\(created.count)"])
      return try JSONText.response(CreatedJoinTokens(tokens: created), status: .created)
    }
    table.on(.post, "/api/bongsu/v1/join-tokens/:id/revoke", right: .change) { request, context, person in
      _ = try QueryParameters(request.uri.query, allowed: [])
      let control = try required()
      let id = context.parameters.get("id") ?? ""
      guard let token = try await withAnswerDeadline({ try await control.revokeJoinToken(id, by: person) }) else {
        throw APIError(
          .notFound, "no join token has the id \"\(id.quotedForMessage)\"",
          nextStep: "list them with `bongsu join-token list`")
      }
      Self.log("join token revoked", person, context, ["token": "\(token.id)"])
      return try JSONText.response(token)
    }
    table.on(.post, "/api/bongsu/v1/nodes/:name/revoke", right: .changeOwn) { request, context, person in
      _ = try QueryParameters(request.uri.query, allowed: [])
      let control = try required()
      let name = context.parameters.get("name") ?? ""
      let revoked = try await withAnswerDeadline { () async throws -> NodeReport? in
        if !person.scope.isUnlimited {
          // Of a node outside of the scope not even the name is told.
          guard let node = try await live.node(named: name), person.scope.includes(node) else { return nil }
        }
        return try await control.revokeNode(name, by: person)
      }
      guard let node = revoked else {
        throw StateRoutes.noNode(name)
      }
      Self.log("node revoked", person, context, ["node": "\(node.id)"])
      return try JSONText.response(node)
    }
  }

  /// One line in the log for every change; secrets never reach it.
  private static func log(
    _ what: Logger.Message, _ person: Operator, _ context: APIRequestContext, _ facts: Logger.Metadata
  ) {
    let who: Logger.Metadata = ["address": "\(person.address)", "credential": "\(person.credential)"]
    context.logger.notice(what, metadata: facts.merging(who) { first, _ in first })
  }
}
