internal import BongsuReports
internal import Foundation
internal import Hummingbird

/// What is lost for good, and why.
struct GapRoutes {
  let source: (any GapSource)?

  /// The time that is looked at when nothing is asked, one hour.
  static let spanMilliseconds: Int64 = 3_600_000

  func install(in table: inout RouteTable) {
    let source = source
    table.on(.get, "/api/bongsu/v1/gaps", right: .read) { request, _, person in
      guard let source else { throw APIError.notAvailable("record of gaps") }
      let now = Int64((Date().timeIntervalSince1970 * 1000).rounded())
      let asked = try Self.gapRequest(query: request.uri.query, now: now)
      let list = try await withAnswerDeadline { try await Self.gaps(of: source, asked, person.scope) }
      return try JSONText.response(list)
    }
  }

  /// The records that a scope leaves; a name outside of it is answered like one that does not exist, and damage, which is
  /// nobody's, is not told.
  private static func gaps(
    of source: any GapSource, _ asked: GapRequest, _ scope: AccessScope
  ) async throws -> GapList {
    guard !scope.isUnlimited else { return try await source.gaps(asked, within: scope) }
    do {
      var list = try await source.gaps(asked, within: scope)
      list.damaged = 0
      return list
    } catch let error as APIError where error.code == .unknownName {
      return GapList([], damaged: 0, limit: asked.limit)
    }
  }

  /// Reads what is asked for; without times, the last hour up to `now`.
  static func gapRequest(query: String?, now: Int64) throws(APIError) -> GapRequest {
    let parameters = try QueryParameters(
      query, allowed: ["node", "factory", "allocation", "start", "end", "limit"])
    let end = try instant("end", parameters) ?? now
    let start = try instant("start", parameters) ?? max(0, end - spanMilliseconds)
    guard start <= end else { throw APIError(.badParameter, "end lies before start", nextStep: "swap them") }
    return GapRequest(
      node: parameters.text("node"), factory: parameters.text("factory"), allocation: parameters.text("allocation"),
      startUnixMilliseconds: start, endUnixMilliseconds: end,
      limit: try parameters.integer(
        "limit", in: 1...ReportLimits.gapRowsMax, default: ReportLimits.gapRowsDefault))
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
