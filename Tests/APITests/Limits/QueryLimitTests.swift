import BongsuAPI
import BongsuReports
import BongsuSeries
import FixtureAggregator
import Foundation
import Testing

/// Expressions and parameters that nobody means well with: refused in Prometheus's form, soon, and the server goes on.
@Suite(.serialized) struct QueryLimitTests {
  /// Generous, since the machine of a test may be busy; what is refused by its size takes milliseconds.
  private static let patience = Duration.seconds(120)

  /// Serves with time enough for a client that is starved by other tests.
  private static func serve(
    _ sources: APISources, _ body: @escaping @Sendable (_ port: Int) async throws -> Void
  ) async throws {
    func configure(_ configuration: inout APIConfiguration) { configuration.patience.body = .seconds(600) }
    try await withServer(sources, configure: configure, body)
  }

  private struct Refusal: Decodable {
    let status: String
    let errorType: String
    let error: String
  }

  private static func post(_ port: Int, _ form: String, to path: String = "query") async throws -> Answer {
    try await call(
      port, "/api/v1/\(path)", method: "POST", headers: ["Content-Type": "application/x-www-form-urlencoded"],
      body: form)
  }

  private static func check(
    _ answer: Answer, _ took: Duration, sourceLocation location: SourceLocation = #_sourceLocation
  ) throws {
    let refusal = try #require(try? answer.json(Refusal.self), "\(answer.body.prefix(300))", sourceLocation: location)
    #expect([400, 422].contains(answer.status) && refusal.status == "error", sourceLocation: location)
    #expect(["bad_data", "execution"].contains(refusal.errorType) && !refusal.error.isEmpty, sourceLocation: location)
    #expect(answer.body.utf8.count < 4096, "\(answer.body.utf8.count) bytes", sourceLocation: location)
    #expect(took < patience, sourceLocation: location)
  }

  static let absurd: [(String, String)] = [
    ("ten thousand parentheses", String(repeating: "(", count: 10_000) + "1" + String(repeating: ")", count: 10_000)),
    ("ten thousand parentheses that are never closed", String(repeating: "(", count: 10_000)),
    ("a hundred thousand closing parentheses", String(repeating: ")", count: 100_000)),
    ("ten thousand signs", String(repeating: "-", count: 10_000) + "1"),
    (
      "ten thousand nested calls",
      String(repeating: "abs(", count: 10_000) + "vector(1)" + String(repeating: ")", count: 10_000)
    ),
    (
      "ten thousand nested sums", String(repeating: "sum(", count: 10_000) + "x" + String(repeating: ")", count: 10_000)
    ),
    (
      "nested subqueries",
      String(repeating: "max_over_time(", count: 2000) + "x" + String(repeating: "[1h:1s])", count: 2000)
    ),
    ("a chain of a hundred thousand additions", "1" + String(repeating: "+1", count: 100_000)),
    ("a chain of powers", "2" + String(repeating: "^2", count: 20_000)),
    ("a chain of ands", "x" + String(repeating: " and x", count: 20_000)),
    ("half a megabyte of a name", String(repeating: "a", count: 500_000)),
    ("a string without an end", "\"" + String(repeating: "a", count: 100_000)),
    ("fifty thousand matchers", "{" + String(repeating: "a=\"b\",", count: 50_000) + "}"),
    ("braces in braces", String(repeating: "{", count: 10_000)),
    ("brackets", "x" + String(repeating: "[1m]", count: 10_000)),
    ("a pattern that explodes", "x{a=~\"((((a{1000}){1000}){1000}){1000})\"}"),
    (
      "a pattern nested deeply",
      "x{a=~\"" + String(repeating: "(", count: 5000) + String(repeating: ")*", count: 5000) + "\"}"
    ),
    ("a pattern that does not close", "x{a=~\"[\"}"), ("a number without a value", "1e99999999x"),
    ("a duration beyond time", "x[99999999999999999999y]"), ("an offset beyond time", "x offset 9999999999999999y"),
    ("an instant beyond time", "x @ 1e300"), ("an escape of no character", "\"\\xZZ\""), ("a null byte", "x\u{0}"),
    ("a window of no length", "x[0s]"), ("a subquery of no step", "x[1m:0s]"), ("nothing", ""),
    ("only a comment", "# x"),
    ("a subquery of a billion steps", "max_over_time(vector(1)[100y:1ms])"),
  ]

  @Test("an absurd expression is refused in Prometheus's form, soon", arguments: absurd.map(\.0))
  func expression(name: String) async throws {
    let expression = try #require(Self.absurd.first { $0.0 == name }).1
    try await Self.serve(PrometheusTests.sources()) { port async throws in
      for path in ["query", "query_range"] {
        let clock = ContinuousClock.now
        let form = "query=" + ScopeAttack.escaped(expression) + (path == "query" ? "&time=1" : "&start=0&end=10&step=1")
        try Self.check(try await Self.post(port, form, to: path), ContinuousClock.now - clock)
      }
      #expect(try await call(port, "/api/v1/query?query=1%2B1&time=0").status == 200)
    }
  }

  @Test("a long expression in which nothing is wrong is answered")
  func long() async throws {
    try await Self.serve(PrometheusTests.sources()) { port async throws in
      for expression in [
        "sum by (" + String(repeating: "a,", count: 50_000) + ") (x)",
        "count_values(\"a\", vector(1))" + String(repeating: " ", count: 150_000),
        "\"" + String(repeating: "a", count: 200_000) + "\"",
      ] {
        let answer = try await Self.post(port, "time=1&query=" + ScopeAttack.escaped(expression))
        #expect(answer.status == 200, "\(answer.body.prefix(300))")
      }
    }
  }

  @Test(
    "a query that would compute for days ends with its time, and when its asker hangs up",
    arguments: ["max_over_time", "quantile_over_time", "rate", "present_over_time"])
  func endless(function: String) async throws {
    let inner =
      function == "quantile_over_time" ? "quantile_over_time(0.5, vector(time())" : "\(function)(vector(time())"
    let expression = ScopeAttack.escaped("max_over_time(\(inner)[10d:1s])[10d:1s])")
    try await Self.serve(PrometheusTests.sources()) { port async throws in
      let answer = try await Self.post(port, "time=1795253400&timeout=200ms&query=" + expression)
      let refusal = try answer.json(Refusal.self)
      #expect(answer.status == 503 && refusal.errorType == "timeout", "\(answer.body)")
      // The server ends only after its requests, which this test would wait for.
      let connection = try await RawConnection.open(port)
      try await connection.send("GET /api/v1/query?query=\(expression) HTTP/1.1\r\nHost: a\r\n\r\n")
      connection.close()
    }
  }

  @Test("a body of a megabyte and more is refused, whether it tells its length or not")
  func bodies() async throws {
    try await Self.serve(PrometheusTests.sources()) { port async throws in
      let million = String(repeating: "1+", count: 524_288) + "1"
      let clock = ContinuousClock.now
      try Self.check(try await Self.post(port, "query=" + million), ContinuousClock.now - clock)
      let short = "query=" + String(repeating: "%31", count: 300_000)
      try Self.check(try await Self.post(port, short), ContinuousClock.now - clock)
      #expect(try await call(port, "/api/v1/query?query=1&time=0").status == 200)
    }
  }

  @Test(
    "absurd parameters are refused in Prometheus's form",
    arguments: [
      "query_range?query=1&start=0&end=1&step=0", "query_range?query=1&start=0&end=1&step=-1",
      "query_range?query=1&start=0&end=1&step=1e-9", "query_range?query=1&start=0&end=1&step=NaN",
      "query_range?query=1&start=0&end=1&step=Inf", "query_range?query=1&start=0&end=1&step=1e308",
      "query_range?query=1&start=0&end=1&step=99999999999999999999y", "query_range?query=1&start=0&end=1&step=",
      "query_range?query=1&start=0&end=1", "query_range?query=1&start=NaN&end=1&step=1",
      "query_range?query=1&start=-Inf&end=Inf&step=1", "query_range?query=1&start=0&end=1e300&step=1",
      "query_range?query=1&start=-1e11&end=1e11&step=1", "query_range?query=1&start=0&end=12000&step=1",
      "query_range?query=1&start=2&end=1&step=1", "query_range?query=1&start=yesterday&end=1&step=1",
      "query_range?query=x[5m]&start=0&end=1&step=1", "query_range?query=%22a%22&start=0&end=1&step=1",
      "query?query=1&time=NaN", "query?query=1&time=1e18", "query?query=1&time=9999-99-99T00:00:00Z",
      "query?query=1&timeout=0", "query?query=1&timeout=-5s", "query?query=1&timeout=forever", "query?query=%ff",
      "query?query=%c0%af", "query?query=%ed%a0%80", "query?query=%f5%80%80%80", "query?query=%zz", "query?query=%",
      "query?query=\"%ff\"", "series", "series?match%5B%5D=", "series?match%5B%5D=%7B%7D",
      "series?match%5B%5D=%7Ba=~%22.*%22%7D",
      "series?match%5B%5D=1%2B1", "series?match%5B%5D=x&start=NaN", "series?match%5B%5D=x&limit=-1",
      "series?match%5B%5D=%ff", "labels?match%5B%5D=(", "labels?limit=many", "label/__name__/values?end=never",
      "label/a-b/values", "label/%ff/values", "label/0a/values", "metadata?limit=1e3",
    ])
  func parameters(path: String) async throws {
    try await Self.serve(PrometheusTests.sources()) { port async throws in
      let clock = ContinuousClock.now
      let connection = try await RawConnection.open(port)
      try await connection.send("GET /api/v1/\(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
      _ = try await connection.closes(within: 60)
      let parts = connection.text.components(separatedBy: "\r\n\r\n")
      let status = Int(parts[0].split(separator: " ").dropFirst().first ?? "") ?? 0
      #expect(status == 400 || status == 422, "\(connection.text.prefix(400))")
      #expect(parts.last?.contains("\"status\":\"error\"") == true, "\(connection.text.prefix(400))")
      #expect(ContinuousClock.now - clock < Self.patience)
    }
  }

  @Test("too many selectors and parameters are refused")
  func many() async throws {
    try await Self.serve(PrometheusTests.sources()) { port async throws in
      for count in [APILimits.selectorsMax + 1, APILimits.parametersMax + 1] {
        let form = Array(repeating: "match%5B%5D=x", count: count).joined(separator: "&")
        let answer = try await Self.post(port, form, to: "series")
        #expect(answer.status == 400 && answer.body.contains("bad_data"), "\(answer.body)")
      }
    }
  }

  @Test("queries beyond the limit are refused with 503 and when to ask again, and those that run are answered")
  func concurrent() async throws {
    let gate = SlowSeries()
    try await Self.serve(APISources(live: FixtureAggregator(), series: gate)) { port async throws in
      try await withThrowingTaskGroup(of: Answer.self) { group in
        for _ in 0..<APILimits.queriesMax { group.addTask { try await call(port, "/api/v1/query?query=x") } }
        let isFull = try await eventually { gate.waiting == APILimits.queriesMax }
        #expect(isFull)
        let refused = try await call(port, "/api/v1/query?query=x")
        #expect(refused.status == 503 && refused.header("Retry-After") == "1")
        #expect(try refused.json(Refusal.self).errorType == "unavailable")
        // What needs no query goes on.
        #expect(try await call(port, "/-/ready").status == 200)
        #expect(try await call(port, "/api/bongsu/v1/status").status == 200)
        gate.open()
        for try await answer in group { #expect(answer.status == 200) }
      }
      #expect(try await call(port, "/api/v1/query?query=x").status == 200)
    }
  }

  @Test("a query whose asker hangs up does not go on, and its place is free")
  func hangUp() async throws {
    let source = EndlessSeries()
    try await Self.serve(APISources(live: FixtureAggregator(), series: source)) { port async throws in
      for method in ["GET /api/v1/query?query=sum(x)", "GET /federate?match[]=x"] {
        let before = source.ended
        let connection = try await RawConnection.open(port)
        try await connection.send("\(method) HTTP/1.1\r\nHost: a\r\n\r\n")
        let isRunning = try await eventually { source.running == 1 }
        #expect(isRunning, "\(method)")
        connection.close()
        let hasEnded = try await eventually { source.ended == before + 1 }
        #expect(hasEnded && source.running == 0, "\(method)")
      }
    }
  }
}
