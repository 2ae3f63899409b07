internal import BongsuReports
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// Signed accounts of a month, and the key that they are signed by.
struct ReportRoutes {
  let source: (any ReportSource)?

  func install(in table: inout RouteTable) {
    let source = source
    table.on(.get, "/api/bongsu/v1/report", right: .read) { request, _, person in
      guard let source else { throw APIError.notAvailable("stored history to account from") }
      let asked = try Self.reportRequest(query: request.uri.query)
      let signed = try await withAnswerDeadline(seconds: APILimits.querySecondsMax) {
        try await source.report(asked, within: person.scope)
      }
      // As it was signed, to the byte.
      return Response(
        status: .ok, headers: [.contentType: JSONText.contentType],
        body: ResponseBody(byteBuffer: ByteBuffer(bytes: signed.document)))
    }
    table.on(.get, "/api/bongsu/v1/report/key", right: .read) { request, _, _ in
      _ = try QueryParameters(request.uri.query, allowed: [])
      guard let source else { throw APIError.notAvailable("stored history to account from") }
      return try JSONText.response(ReportKeyReport(source.key))
    }
  }

  /// Reads whose account of which month is wanted.
  static func reportRequest(query: String?) throws(APIError) -> UsageReportRequest {
    let parameters = try QueryParameters(query, allowed: ["allocation", "factory", "month"])
    var month: ReportMonth?
    if let text = parameters.text("month") {
      guard let known = ReportMonth(text) else {
        throw APIError(
          .badParameter, "month is \"\(text.quotedForMessage)\"", nextStep: "give a month such as 2026-10, or none")
      }
      month = known
    }
    switch (parameters.text("allocation"), parameters.text("factory")) {
    case (let path?, nil): return UsageReportRequest(.allocation, path, month: month)
    case (nil, let id?): return UsageReportRequest(.factory, id, month: month)
    default:
      throw APIError(
        .badParameter, "an account is of one allocation or of one factory",
        nextStep: "give allocation=PATH or factory=ID")
    }
  }
}
