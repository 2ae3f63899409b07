internal import BongsuReports
internal import Foundation
internal import Hummingbird

/// What history is kept, and what it says of allocations.
struct HistoryRoutes {
  let source: (any HistorySource)?

  func install(in table: inout RouteTable) {
    let source = source
    table.on(.get, "/api/bongsu/v1/storage", right: .read) { request, _, person in
      guard let source else { throw APIError.notAvailable("stored history") }
      _ = try QueryParameters(request.uri.query, allowed: [])
      // Sizes tell of everybody's data.
      guard person.scope.isUnlimited else { return try JSONText.response(StorageReport(parts: [])) }
      return try await JSONText.response(withAnswerDeadline { try await source.storage() })
    }
    table.on(.get, "/api/bongsu/v1/ledger", right: .read) { request, _, person in
      guard let source else { throw APIError.notAvailable("ledger") }
      let now = Int64((Date().timeIntervalSince1970 * 1000).rounded())
      let asked = try Self.ledgerRequest(query: request.uri.query, now: now)
      return try await JSONText.response(
        withAnswerDeadline { try await Self.ledger(of: source, asked, person.scope) })
    }
  }

  /// A name outside of a scope is answered like one that does not exist.
  private static func ledger(
    of source: any HistorySource, _ asked: LedgerRequest, _ scope: AccessScope
  ) async throws -> LedgerReport {
    do { return try await source.ledger(asked, within: scope) } catch let error as APIError
      where error.code == .unknownName && !scope.isUnlimited
    {
      return LedgerReport(entries: [])
    }
  }

  /// Reads what is asked for; without times, the last day up to `now`.
  static func ledgerRequest(query: String?, now: Int64) throws(APIError) -> LedgerRequest {
    let parameters = try QueryParameters(
      query, allowed: ["allocation", "factory", "by", "from", "to", "step"])
    let end = try instant("to", parameters) ?? now
    let start = try instant("from", parameters) ?? max(0, end - 86_400_000)
    guard start < end else { throw APIError(.badParameter, "to does not lie after from", nextStep: "swap them") }
    let by = parameters.text("by")
    guard by == nil || by == "factory" else {
      throw APIError(
        .badParameter, "by is \"\((by ?? "").quotedForMessage)\"", nextStep: "leave it out, or give factory")
    }
    var step: LedgerRequest.Step?
    if let text = parameters.text("step") {
      guard let known = LedgerRequest.Step(rawValue: text) else {
        throw APIError(.badParameter, "step is \"\(text.quotedForMessage)\"", nextStep: "give hour or day")
      }
      step = known
    }
    let length: Int64 = step == .hour ? 3_600_000 : 86_400_000
    guard step == nil || (end - start) / length <= ReportLimits.ledgerStepsMax else {
      throw APIError(
        .badParameter, "\((end - start) / length) steps are asked for, limit \(ReportLimits.ledgerStepsMax)",
        nextStep: "ask for less time, or for days")
    }
    return LedgerRequest(
      allocation: parameters.text("allocation"), factory: parameters.text("factory"), byFactory: by == "factory",
      startUnixMilliseconds: start, endUnixMilliseconds: end, step: step)
  }

  private static func instant(_ name: String, _ parameters: QueryParameters) throws(APIError) -> Int64? {
    guard let text = parameters.text(name) else { return nil }
    guard let instant = TimeText.unixMilliseconds(text) else {
      throw APIError(
        .badParameter, "\(name) is \"\(text.quotedForMessage)\"",
        nextStep: "give RFC 3339 such as 2026-11-21T09:30:00Z, or seconds since 1970")
    }
    return instant
  }
}
