import BongsuAPI
import BongsuReports
import FixtureAggregator
import Synchronization
import Testing

/// Restating over HTTP: who may, and what is told.
@Suite struct FleetRouteTests {
  private final class Control: FleetControl {
    let asked = Mutex<[(from: String, who: String)]>([])

    func restate(_ request: RestateRequest, by person: Operator) async throws -> RestateReport {
      asked.withLock { $0.append((request.from, person.credential)) }
      guard request.from != "never" else {
        throw APIError(.badParameter, "from is \"never\"", nextStep: "give a day")
      }
      return RestateReport(fromUnixMilliseconds: 7, from: request.from, minutes: 61)
    }
  }

  private static let path = "/api/bongsu/v1/fleet/restate"

  @Test("it is for operators and admins of the whole, is told who asks, and answers with what is begun")
  func rights() async throws {
    let control = Control()
    let tokens = FixtureTokens()
    try tokens.add("v", .viewer)
    try tokens.add("o", .operator)
    try tokens.add("part", .operator, "allocation=\"naver\"")
    try await withServer(APISources(live: FixtureAggregator(), tokens: tokens, fleet: control)) { port async throws in
      func ask(_ secret: String?, _ body: String = #"{"from":"2026-11-01"}"#) async throws -> Answer {
        try await call(
          port, Self.path, method: "POST", headers: secret.map { ["Authorization": "Bearer \($0)"] } ?? [:], body: body)
      }
      for secret in ["v", "part"] {
        let refused = try await ask(secret)
        #expect(refused.status == 403 && refused.refusal?.code == "forbidden", "\(secret): \(refused.body)")
      }
      #expect(try await ask("unknown").status == 401)
      #expect(control.asked.withLock { $0.isEmpty })
      let answer = try await ask("o")
      #expect(answer.status == 202)
      #expect(
        try answer.json(RestateReport.self)
          == RestateReport(fromUnixMilliseconds: 7, from: "2026-11-01", minutes: 61))
      #expect(try await ask(nil).status == 202)
      #expect(control.asked.withLock { $0.map(\.who) } == ["token o", "loopback"])
      let never = try await ask(nil, #"{"from":"never"}"#)
      #expect(never.status == 400 && never.refusal?.nextStep == "give a day")
      for body in ["", "[]", "{}", #"{"from":7}"#] { #expect(try await ask(nil, body).refusal?.code == "bad_body") }
      #expect(try await call(port, Self.path).status == 405)
    }
  }

  @Test("without stored history it says so")
  func notAvailable() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let answer = try await call(port, Self.path, method: "POST", body: #"{"from":"2026-11-01"}"#)
      #expect(answer.status == 501 && answer.refusal?.code == "not_available")
    }
  }
}
