import BongsuAPI
import BongsuReports
import FixtureAggregator
import Foundation
import Testing

/// Connections and requests that nobody means well with: each is bounded, and others are answered meanwhile.
@Suite(.serialized) struct ConnectionLimitTests {
  private static func impatient(_ configuration: inout APIConfiguration) {
    configuration.patience.idle = .milliseconds(300)
    configuration.patience.body = .milliseconds(300)
    configuration.patience.stall = .milliseconds(300)
  }

  @Test(
    "a connection that says nothing, or an unfinished head, is closed", arguments: ["", "GET", "GET / HTTP/1.1\r\nHo"])
  func silence(said: String) async throws {
    try await withServer(APISources(live: FixtureAggregator()), configure: Self.impatient) { port async throws in
      let connection = try await RawConnection.open(port)
      // On a busy machine it may be closed before it has said anything.
      try? await connection.send(said)
      #expect(try await connection.closes(within: 60))
    }
  }

  @Test("a head that comes drop by drop is not waited for, however steadily it drops")
  func dripOfHead() async throws {
    try await withServer(APISources(live: FixtureAggregator()), configure: Self.impatient) { port async throws in
      let connection = try await RawConnection.open(port)
      try? await connection.send("GET /-/healthy HTTP/1.1\r\n")
      let deadline = ContinuousClock.now + .seconds(60)
      while !connection.isClosed, ContinuousClock.now < deadline {
        try? await connection.send("X: y\r\n")
        try await Task.sleep(for: .milliseconds(20))
      }
      #expect(connection.isClosed && !connection.text.contains("200 OK"))
    }
  }

  @Test(
    "a body that comes drop by drop is not waited for, whether anybody reads it or not",
    arguments: ["/api/v1/query", "/api/bongsu/v1/tokens", "/api/bongsu/v1/logout", "/nowhere", "/-/reload"])
  func dripOfBody(path: String) async throws {
    try await withServer(
      APISources(live: FixtureAggregator(), tokens: FixtureTokens()), configure: Self.impatient
    ) { port async throws in
      let connection = try await RawConnection.open(port)
      try? await connection.send("POST \(path) HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n")
      let deadline = ContinuousClock.now + .seconds(60)
      while !connection.isClosed, ContinuousClock.now < deadline {
        try? await connection.send("a")
        try await Task.sleep(for: .milliseconds(20))
      }
      #expect(connection.isClosed)
      #expect(try await call(port, "/-/healthy").status == 200)
    }
  }

  @Test("whoever does not read a long answer is let go, and the export's place is free again")
  func deafReader() async throws {
    let fixture = FixtureAggregator()
    // Only with an answer that nobody reads: those who ask must have time to.
    func configure(_ configuration: inout APIConfiguration) { configuration.patience.stall = .milliseconds(300) }
    try await withServer(APISources(live: fixture, export: fixture), configure: configure) { port async throws in
      // Some hundred megabytes of text, far beyond what sockets hold.
      let request = "GET /api/bongsu/v1/export?match=x&start=0&end=10000000 HTTP/1.1\r\nHost: a\r\n\r\n"
      var deaf: [RawConnection] = []
      for _ in 0..<4 {
        let connection = try await RawConnection.open(port, reads: false)
        try await connection.send(request)
        deaf.append(connection)
      }
      let freed = try await eventually {
        try await call(port, "/api/bongsu/v1/export?match=x&start=0&end=1").status == 200
      }
      #expect(freed)
      for connection in deaf { connection.close() }
    }
  }

  @Test(
    "heads beyond the limit are refused",
    arguments: [
      "X: " + String(repeating: "a", count: 1 << 20),
      (0..<10_000).map { "X-\($0): y" }.joined(separator: "\r\n"),
      (0...APILimits.headerFieldsMax).map { "X-\($0): y" }.joined(separator: "\r\n"),
      "Cookie: " + String(repeating: "a=b; ", count: 20_000), String(repeating: "a", count: 200_000) + ": b",
    ])
  func heads(fields: String) async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let connection = try await RawConnection.open(port)
      try? await connection.send("GET /-/healthy HTTP/1.1\r\nHost: a\r\n\(fields)\r\n\r\n")
      #expect(try await connection.closes(within: 60))
      #expect(connection.text.isEmpty || connection.text.hasPrefix("HTTP/1.1 4"), "\(connection.text.prefix(200))")
      #expect(try await call(port, "/-/healthy").status == 200)
    }
  }

  @Test("thousands of requests sent ahead on one connection are answered in their order")
  func pipeline() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let connection = try await RawConnection.open(port)
      let count = 500
      for number in 0..<count {
        try await connection.send("GET /api/bongsu/v1/nodes/n\(number) HTTP/1.1\r\nHost: a\r\n\r\n")
      }
      _ = try await connection.text(with: "\\\"n\(count - 1)\\\"", within: 60)
      let answers = connection.text.components(separatedBy: "HTTP/1.1 404").dropFirst()
      #expect(answers.count == count)
      for (number, answer) in answers.enumerated() { #expect(answer.contains("\\\"n\(number)\\\"")) }
    }
  }

  @Test("a flood of requests is refused beyond the limit with 503 and when to ask again, probes are not")
  func flood() async throws {
    let gate = SlowSeries()
    let few = 8
    func configure(_ configuration: inout APIConfiguration) { configuration.requestsMax = few }
    try await withServer(APISources(live: FixtureAggregator(), series: gate), configure: configure) {
      port async throws in
      try await withThrowingTaskGroup(of: Answer.self) { group in
        for _ in 0..<few { group.addTask { try await call(port, "/api/v1/query?query=x") } }
        let isFull = try await eventually { gate.waiting == few }
        #expect(isFull)
        for _ in 0..<32 {
          let refused = try await call(port, "/api/bongsu/v1/status")
          #expect(refused.status == 503 && refused.refusal?.code == "busy" && refused.header("Retry-After") == "1")
          #expect(try await call(port, "/-/healthy").status == 200)
        }
        gate.open()
        for try await answer in group { #expect(answer.status == 200) }
      }
      #expect(try await call(port, "/api/bongsu/v1/status").status == 200)
    }
  }

  @Test("more silent connections than are served at once go by themselves, and the next asker is answered")
  func manyConnections() async throws {
    let most = 32
    func configure(_ configuration: inout APIConfiguration) {
      Self.impatient(&configuration)
      configuration.connectionsMax = most
    }
    try await withServer(APISources(live: FixtureAggregator()), configure: configure) { port async throws in
      var silent: [RawConnection] = []
      for _ in 0..<(most + 50) { silent.append(try await RawConnection.open(port)) }
      #expect(try await call(port, "/-/healthy").status == 200)
      for connection in silent { connection.close() }
    }
  }
}
