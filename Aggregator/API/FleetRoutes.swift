internal import BongsuReports
internal import HTTPTypes
internal import Hummingbird
internal import Logging

/// What is done with the fleet file while the aggregator runs.
struct FleetRoutes {
  let control: (any FleetControl)?

  func install(in table: inout RouteTable) {
    let control = control
    table.on(.post, "/api/bongsu/v1/fleet/restate", right: .change) { request, context, person in
      _ = try QueryParameters(request.uri.query, allowed: [])
      guard let control else { throw APIError.notAvailable("stored history") }
      let asked = try await JSONText.body(of: request, as: RestateRequest.self)
      let report = try await withAnswerDeadline { try await control.restate(asked, by: person) }
      context.logger.notice(
        "stored rollups are formed anew by the present fleet file",
        metadata: [
          "from": "\(report.from)", "minutes": "\(report.minutes)", "address": "\(person.address)",
          "credential": "\(person.credential)",
        ])
      return try JSONText.response(report, status: .accepted)
    }
  }
}
