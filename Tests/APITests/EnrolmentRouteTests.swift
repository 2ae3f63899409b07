import BongsuAPI
import BongsuReports
import FixtureAggregator
import Testing

@Suite struct EnrolmentRouteTests {
  @Test("tokens are made, listed without their secret, and revoked, and the audit names who did it")
  func lifeOfToken() async throws {
    let fixture = FixtureAggregator()
    try await withServer(APISources(live: fixture, enrolment: fixture)) { port async throws in
      let body =
        "{\"count\":2,\"uses\":5,\"life_seconds\":3600,\"node_patterns\":[\"r[001-120]\"],\"comment\":\"spring\"}"
      let created = try await call(port, "/api/bongsu/v1/join-tokens", method: "POST", body: body)
      #expect(created.status == 201)
      let tokens = try created.json(CreatedJoinTokens.self).tokens
      #expect(tokens.map(\.token.id) == ["jt-1", "jt-2"] && tokens[0].token.usesLeft == 5)
      let list = try await call(port, "/api/bongsu/v1/join-tokens")
      #expect(try list.json(JoinTokenList.self).tokens == tokens.map(\.token) && !list.body.contains("secret"))
      let revoked = try await call(port, "/api/bongsu/v1/join-tokens/jt-2/revoke", method: "POST")
      #expect(try revoked.json(JoinTokenReport.self).state == .revoked)
      #expect(
        try await call(port, "/api/bongsu/v1/join-tokens/jt-9/revoke", method: "POST").refusal?.code == "not_found")
      #expect(fixture.persons == Array(repeating: Operator(address: "127.0.0.1", credential: "loopback"), count: 2))
    }
  }

  @Test("a node is revoked once by name, an unknown one is refused")
  func revokeNode() async throws {
    let fixture = FixtureAggregator()
    try await withServer(APISources(live: fixture, enrolment: fixture), token: "0123456789abcdef") {
      port async throws in
      let path = "/api/bongsu/v1/nodes/stray-01/revoke"
      let refused = try await call(port, path, method: "POST")
      #expect(refused.status == 401 && refused.header("WWW-Authenticate") == "Bearer realm=\"bongsu\"")
      #expect(fixture.persons.isEmpty)
      let headers = ["Authorization": "Bearer 0123456789abcdef"]
      let revoked = try await call(port, path, method: "POST", headers: headers)
      #expect(try revoked.json(NodeReport.self).state == .revoked)
      #expect(fixture.persons.map(\.credential) == ["admin-token"])
      let unknown = try await call(
        port, "/api/bongsu/v1/nodes/nobody/revoke", method: "POST", headers: headers)
      #expect(unknown.refusal?.code == "not_found")
    }
  }

  @Test(
    "a body that does not fit is refused by place",
    arguments: [
      ("[", "bad_body", "the body is not JSON, or a number in it is not whole"),
      ("{\"count\":\"two\"}", "bad_body", "count is not of type Int"),
      ("{\"count\":1.5}", "bad_body", "the body is not JSON, or a number in it is not whole"),
      ("{\"count\":0}", "bad_parameter", "count is 0; it must be 1 to 10000"),
      (
        "{\"life_seconds\":99999999999}", "bad_parameter",
        "life_seconds is 99999999999; it must be 1 to 2592000 (30 days)"
      ),
      ("{\"node_patterns\":[7]}", "bad_body", "node_patterns.Index 0 is not of type String"),
      ("null", "bad_body", "the body is null"),
    ])
  func badBodies(body: String, code: String, message: String) async throws {
    let fixture = FixtureAggregator()
    try await withServer(APISources(live: fixture, enrolment: fixture)) { port async throws in
      let answer = try await call(port, "/api/bongsu/v1/join-tokens", method: "POST", body: body)
      let refusal = try #require(answer.refusal, "\(answer.body)")
      #expect(refusal.code == code && refusal.message == message, "\(refusal)")
      #expect(try await fixture.joinTokens().isEmpty)
    }
  }

  @Test("a body beyond the limit is refused and the server goes on")
  func largeBody() async throws {
    let fixture = FixtureAggregator()
    try await withServer(APISources(live: fixture, enrolment: fixture)) { port async throws in
      let body = "{\"comment\":\"" + String(repeating: "x", count: APILimits.bodyBytesMax) + "\"}"
      let answer = try await call(port, "/api/bongsu/v1/join-tokens", method: "POST", body: body)
      #expect(answer.status == 413 && answer.refusal?.code == "body_too_large")
      #expect(try await call(port, "/-/healthy").status == 200)
    }
  }

  @Test("an aggregator without enrolment or export says so")
  func notAvailable() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let tokens = try await call(port, "/api/bongsu/v1/join-tokens")
      #expect(tokens.status == 501 && tokens.refusal?.code == "not_available")
      let export = try await call(port, "/api/bongsu/v1/export?match=up&start=0&end=1")
      #expect(export.status == 501 && export.refusal?.message == "this aggregator has no export")
    }
  }
}
