internal import BongsuReports
internal import Hummingbird

/// What is true now: status, top, nodes.
struct StateRoutes {
  let live: any LiveSource

  func install(in table: inout RouteTable) {
    let live = live
    table.on(.get, "/api/bongsu/v1/status", right: .read) { request, _, person in
      _ = try QueryParameters(request.uri.query, allowed: [])
      let report = try await withAnswerDeadline { () async throws -> StatusReport in
        let whole = try await live.status()
        guard !person.scope.isUnlimited else { return whole }
        return whole.narrowed(to: person.scope, try await live.nodes(matching: NodeFilter()))
      }
      return try JSONText.response(report)
    }
    table.on(.get, "/api/bongsu/v1/top/:level", right: .read) { request, context, person in
      let asked = try Self.topRequest(level: context.parameters.get("level") ?? "", query: request.uri.query)
      let rows = try await withAnswerDeadline { try await Self.rows(of: live, asked, person.scope) }
      return try JSONText.response(TopReport(rows, to: asked))
    }
    table.on(.get, "/api/bongsu/v1/nodes", right: .read) { request, _, person in
      let parameters = try QueryParameters(request.uri.query, allowed: ["state", "factory", "unassigned", "limit"])
      let filter = NodeFilter(
        state: try parameters.optionalChoice("state"), factory: parameters.text("factory"),
        isUnassignedOnly: try parameters.flag("unassigned"))
      let limit = try parameters.integer(
        "limit", in: 1...ReportLimits.nodeRowsMax, default: ReportLimits.nodeRowsDefault)
      let nodes = try await withAnswerDeadline { try await Self.nodes(of: live, filter, person.scope) }
      return try JSONText.response(NodeList(nodes, limit: limit))
    }
    table.on(.get, "/api/bongsu/v1/nodes/:name", right: .read) { request, context, person in
      _ = try QueryParameters(request.uri.query, allowed: [])
      let name = context.parameters.get("name") ?? ""
      let found = try await withAnswerDeadline { try await live.node(named: name) }
      guard let node = found, person.scope.includes(node) else {
        throw Self.noNode(name)
      }
      return try JSONText.response(node)
    }
  }

  /// The rows that a scope leaves. Names that it does not have are no names: asking for them gives no rows, whether they
  /// exist elsewhere or not.
  static func rows(
    of live: any LiveSource, _ asked: TopRequest, _ scope: AccessScope
  ) async throws -> TopRows {
    do {
      let rows = try await live.topRows(for: asked, within: scope)
      // Not even the tick tells a name that is elsewhere from one that is nowhere.
      return scope.isUnlimited || !rows.rows.isEmpty ? rows : TopRows(closedTickUnixMilliseconds: nil, rows: [])
    } catch let error as APIError where error.code == .unknownName && !scope.isUnlimited {
      return TopRows(closedTickUnixMilliseconds: nil, rows: [])
    }
  }

  /// The nodes that a scope leaves; see ``rows(of:_:_:)`` for names.
  private static func nodes(
    of live: any LiveSource, _ filter: NodeFilter, _ scope: AccessScope
  ) async throws -> [NodeReport] {
    guard !scope.isUnlimited else { return try await live.nodes(matching: filter) }
    do {
      return try await live.nodes(matching: filter).filter { scope.includes($0) }
    } catch let error as APIError where error.code == .unknownName {
      return []
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
      query, allowed: ["by", "limit", "factory", "hall", "rack", "allocation", "node", "search"])
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
      filter: filter, search: parameters.text("search") ?? "")
  }
}

extension StatusReport {
  /// What somebody may know who sees a part: how many they are, and whether the aggregator serves.
  fileprivate func narrowed(to scope: AccessScope, _ all: [NodeReport]) -> StatusReport {
    let nodes = all.filter { scope.includes($0) }
    let state: ReadyState =
      switch ready {
      case .ready, .degraded: .ready
      case .starting: .starting(reason: "")
      case .stopping: .stopping
      }
    var report = StatusReport(
      version: version, nation: nation, uptimeSeconds: uptimeSeconds, ready: state,
      closedTickUnixMilliseconds: closedTickUnixMilliseconds, lagMilliseconds: lagMilliseconds)
    report.nodes = NodeCounts(
      connected: nodes.count { $0.state == .connected }, known: nodes.count { $0.lastTickUnixMilliseconds != nil },
      expected: nodes.count, unassigned: 0, unassignedNames: [])
    report.matchers = scope.texts
    return report
  }
}
