internal import BongsuReports
internal import Hummingbird

/// What is true now: status, top, nodes.
struct StateRoutes {
  let live: any LiveSource

  func install(in table: inout RouteTable) {
    let live = live
    table.on(.get, "/api/bongsu/v1/status", right: .read) { request, _, _ in
      _ = try QueryParameters(request.uri.query, allowed: [])
      return try await JSONText.response(withAnswerDeadline { try await live.status() })
    }
    table.on(.get, "/api/bongsu/v1/top/:level", right: .read) { request, context, _ in
      let asked = try Self.topRequest(level: context.parameters.get("level") ?? "", query: request.uri.query)
      let rows = try await withAnswerDeadline { try await live.topRows(for: asked) }
      return try JSONText.response(TopReport(rows, to: asked))
    }
    table.on(.get, "/api/bongsu/v1/nodes", right: .read) { request, _, _ in
      let parameters = try QueryParameters(request.uri.query, allowed: ["state", "factory", "unassigned", "limit"])
      let filter = NodeFilter(
        state: try parameters.optionalChoice("state"), factory: parameters.text("factory"),
        isUnassignedOnly: try parameters.flag("unassigned"))
      let limit = try parameters.integer(
        "limit", in: 1...ReportLimits.nodeRowsMax, default: ReportLimits.nodeRowsDefault)
      let nodes = try await withAnswerDeadline { try await live.nodes(matching: filter) }
      return try JSONText.response(NodeList(nodes, limit: limit))
    }
    table.on(.get, "/api/bongsu/v1/nodes/:name", right: .read) { request, context, _ in
      _ = try QueryParameters(request.uri.query, allowed: [])
      let name = context.parameters.get("name") ?? ""
      guard let node = try await withAnswerDeadline({ try await live.node(named: name) }) else {
        throw Self.noNode(name)
      }
      return try JSONText.response(node)
    }
  }

  /// The refusal for a node that nobody knows.
  static func noNode(_ name: String) -> APIError {
    APIError(
      .notFound, "no node is called \"\(name.quotedForMessage)\"", nextStep: "list them with `bongsu nodes list`")
  }

  /// Reads a question to `top`, refusing by name what it cannot be asked.
  static func topRequest(level: String, query: String?) throws(APIError) -> TopRequest {
    guard let level = TopLevel(rawValue: level) else {
      throw APIError(
        .badParameter, "no level is called \"\(level.quotedForMessage)\"",
        nextStep: "use \(TopLevel.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    let parameters = try QueryParameters(
      query, allowed: ["by", "limit", "factory", "hall", "rack", "allocation", "node"])
    let filter = TopFilter(
      factory: parameters.text("factory"), hall: parameters.text("hall"), rack: parameters.text("rack"),
      allocation: parameters.text("allocation"), node: parameters.text("node"))
    guard filter.node == nil || level == .nodes || level == .gpus else {
      throw APIError(
        .badParameter, "node narrows the levels nodes and gpus, not \(level.rawValue)",
        nextStep: "leave it out or ask for nodes or gpus")
    }
    return TopRequest(
      level: level, order: try parameters.choice("by", default: .power),
      limit: try parameters.integer(
        "limit", in: 1...ReportLimits.topRowsMax, default: ReportLimits.topRowsDefault),
      filter: filter)
  }
}
