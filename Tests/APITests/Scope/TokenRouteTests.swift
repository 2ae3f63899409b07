import BongsuAPI
import BongsuReports
import FixtureAggregator
import Testing

/// Tokens over HTTP: who may do what with which role.
@Suite struct TokenRouteTests {
  private static func bearer(_ secret: String) -> [String: String] { ["Authorization": "Bearer \(secret)"] }

  @Test("a token is made with its secret told once, listed without it, works, and ends when revoked")
  func life() async throws {
    let fixture = FixtureAggregator()
    let tokens = FixtureTokens()
    try await withServer(APISources(live: fixture, tokens: tokens)) { port async throws in
      let body = #"{"name":"grafana","role":"viewer","matchers":["allocation=\"naver\""],"life_seconds":60}"#
      let made = try await call(port, "/api/bongsu/v1/tokens", method: "POST", body: body)
      #expect(made.status == 201)
      let created = try made.json(CreatedAccessToken.self)
      #expect(created.token.name == "grafana" && created.token.expiresUnixMilliseconds == ScopedWorld.start + 60_000)
      let list = try await call(port, "/api/bongsu/v1/tokens")
      #expect(try list.json(AccessTokenList.self).tokens == [created.token] && !list.body.contains(created.secret))
      let who = try await call(port, "/api/bongsu/v1/whoami", headers: Self.bearer(created.secret))
      #expect(try who.json(AccessReport.self).matchers == ["allocation=\"naver\""])
      let ended = try await call(port, "/api/bongsu/v1/tokens/grafana/revoke", method: "POST")
      #expect(try ended.json(AccessTokenReport.self).state == .revoked)
      let after = try await call(port, "/api/bongsu/v1/whoami", headers: Self.bearer(created.secret))
      #expect(after.status == 401 && after.refusal?.message == "the token is not known")
      #expect(try await call(port, "/api/bongsu/v1/tokens/nobody/revoke", method: "POST").status == 404)
    }
  }

  @Test(
    "what cannot be a token is refused by name",
    arguments: [
      (#"{}"#, "bad_body", "name is missing"), (#"{"name":""}"#, "bad_parameter", "name has 0 bytes"),
      (#"{"name":"a b"}"#, "bad_parameter", "letters, digits"), (#"{"name":"a","role":"root"}"#, "bad_body", "role"),
      (#"{"name":"a","matchers":["x=\"y\""]}"#, "bad_parameter", "it matches x"),
      (#"{"name":"a","matchers":["allocation=~\"(\""]}"#, "bad_parameter", "match is"),
      (#"{"name":"a","matchers":[""]}"#, "bad_parameter", "it has no matcher"),
      (#"{"name":"a","role":"admin","matchers":["factory=\"f\""]}"#, "bad_parameter", "cannot be narrowed"),
      (#"{"name":"a","life_seconds":0}"#, "bad_parameter", "life_seconds is 0"),
      (#"{"name":"a","life_seconds":-1}"#, "bad_parameter", "life_seconds is -1"),
      (#"{"name":"a","life_seconds":99999999999}"#, "bad_parameter", "ten years"),
      (#"{"name":"a","matchers":["1","2","3","4","5","6","7","8","9"]}"#, "bad_parameter", "9 matchers"),
    ])
  func refused(body: String, code: String, message: String) async throws {
    try await withServer(APISources(live: FixtureAggregator(), tokens: FixtureTokens())) { port async throws in
      let answer = try await call(port, "/api/bongsu/v1/tokens", method: "POST", body: body)
      #expect(answer.status == 400 && answer.refusal?.code == code, "\(answer.body)")
      #expect(answer.refusal?.message.contains(message) == true, "\(answer.body)")
    }
  }

  @Test("roles: a viewer reads, an operator changes, an admin makes tokens")
  func roles() async throws {
    let fixture = FixtureAggregator()
    let tokens = FixtureTokens()
    try tokens.add("v", .viewer)
    try tokens.add("o", .operator)
    try tokens.add("a", .admin)
    try await withServer(APISources(live: fixture, enrolment: fixture, tokens: tokens)) { port async throws in
      func status(_ secret: String, _ method: String, _ path: String, _ body: String? = nil) async throws -> Int {
        try await call(port, path, method: method, headers: Self.bearer(secret), body: body).status
      }
      for (method, path, allowed) in [
        ("GET", "/api/bongsu/v1/status", "voa"), ("GET", "/metrics", "voa"), ("GET", "/api/bongsu/v1/nodes", "voa"),
        ("GET", "/api/bongsu/v1/join-tokens", "oa"), ("POST", "/api/bongsu/v1/join-tokens", "oa"),
        ("POST", "/api/bongsu/v1/nodes/stray-01/revoke", "oa"), ("GET", "/api/bongsu/v1/tokens", "a"),
        ("POST", "/api/bongsu/v1/tokens", "a"), ("POST", "/api/bongsu/v1/tokens/x/revoke", "a"),
      ] {
        for secret in ["v", "o", "a"] {
          let body = path.hasSuffix("/tokens") && method == "POST" ? "{\"name\":\"made-by-\(secret)\"}" : nil
          let got = try await status(secret, method, path, body)
          #expect((got == 403) != allowed.contains(secret), "\(secret) \(method) \(path): \(got)")
        }
      }
      // Not available here, but past the check of rights.
      #expect(try await status("v", "POST", "/-/reload") == 403)
      #expect(try await status("o", "POST", "/-/reload") == 501)
      let refusal = try await call(port, "/api/bongsu/v1/tokens", headers: Self.bearer("v")).refusal
      #expect(
        refusal?.message == "the role viewer may not do this" && refusal?.nextStep == "use a token of the role admin")
    }
  }

  @Test("a narrowed operator cuts off its own nodes alone, and others' are to it as if there were none")
  func narrowedOperator() async throws {
    let fixture = FixtureAggregator()
    let tokens = FixtureTokens()
    try tokens.add("o", .operator, "allocation=\"naver\"")
    try await withServer(APISources(live: fixture, enrolment: fixture, tokens: tokens)) { port async throws in
      func revoke(_ node: String) async throws -> Answer {
        try await call(port, "/api/bongsu/v1/nodes/\(node)/revoke", method: "POST", headers: Self.bearer("o"))
      }
      let others = try await revoke("sk-ulsan-r1-2")
      let nobody = try await revoke("sk-ulsan-r9-9")
      #expect(others.status == 404 && nobody.status == 404)
      #expect(others.body.replacing("r1-2", with: "") == nobody.body.replacing("r9-9", with: ""))
      #expect(fixture.persons.isEmpty)
      #expect(try await revoke("naver-sejong-r2-5").json(NodeReport.self).state == .revoked)
      #expect(fixture.persons.map(\.credential) == ["token o"])
      for path in ["/api/bongsu/v1/join-tokens", "/-/reload"] {
        let answer = try await call(port, path, method: "POST", headers: Self.bearer("o"))
        #expect(answer.status == 403 && answer.refusal?.message.contains("concerns all") == true)
      }
    }
  }

  @Test("a wrong token is never taken for none, on this machine either")
  func wrongToken() async throws {
    let tokens = FixtureTokens()
    try tokens.add("right", .viewer)
    try await withServer(APISources(live: FixtureAggregator(), tokens: tokens)) { port async throws in
      for header in [
        "Bearer wrong", "Bearer", "Basic cmlnaHQ=", "right", "Bearer right, Bearer right",
      ] {
        let answer = try await call(port, "/api/bongsu/v1/status", headers: ["Authorization": header])
        #expect(answer.status == 401 && answer.header("WWW-Authenticate") != nil, "\(header)")
      }
      #expect(try await call(port, "/api/v1/query?query=1", headers: ["Authorization": "Bearer wrong"]).status == 401)
    }
  }

  @Test("the page's cookie reads; it changes only from the page's own address, and a wrong one is refused")
  func cookie() async throws {
    let fixture = FixtureAggregator()
    let tokens = FixtureTokens()
    try tokens.add("o", .operator)
    try await withServer(APISources(live: fixture, enrolment: fixture, tokens: tokens)) { port async throws in
      let login = try await call(port, "/api/bongsu/v1/login", method: "POST", body: #"{"token":"o"}"#)
      let cookie = try #require(login.header("Set-Cookie"))
      #expect(login.status == 200 && cookie.hasPrefix("bongsu_token=o; ") && cookie.contains("HttpOnly"))
      #expect(cookie.contains("SameSite=Strict") && !cookie.contains("Secure"))
      let jar = ["Cookie": "a=b; bongsu_token=o"]
      #expect(try await call(port, "/api/bongsu/v1/whoami", headers: jar).json(AccessReport.self).role == .operator)
      let path = "/api/bongsu/v1/join-tokens"
      let foreign = jar.merging(["Origin": "http://evil.example"]) { $1 }
      #expect(try await call(port, path, method: "POST", headers: foreign).status == 403)
      let own = jar.merging(["Origin": "http://127.0.0.1:\(port)"]) { $1 }
      #expect(try await call(port, path, method: "POST", headers: own).status == 201)
      #expect(try await call(port, "/api/bongsu/v1/whoami", headers: ["Cookie": "bongsu_token=x"]).status == 401)
      let wrong = try await call(port, "/api/bongsu/v1/login", method: "POST", body: #"{"token":"x"}"#)
      #expect(wrong.status == 401 && wrong.header("Set-Cookie") == nil)
      let lured = try await call(
        port, "/api/bongsu/v1/login", method: "POST", headers: ["Origin": "http://evil.example"],
        body: #"{"token":"o"}"#)
      #expect(lured.status == 403)
      let logout = try await call(port, "/api/bongsu/v1/logout", method: "POST")
      #expect(logout.status == 204 && logout.header("Set-Cookie")?.contains("Max-Age=0") == true)
    }
  }

  @Test("without access tokens their addresses say so")
  func notAvailable() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      #expect(try await call(port, "/api/bongsu/v1/tokens").refusal?.code == "not_available")
      #expect(try await call(port, "/api/bongsu/v1/status", headers: Self.bearer("x")).status == 401)
    }
  }
}
