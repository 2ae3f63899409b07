import BongsuAPI
import BongsuMetrics
import BongsuReports
import FixtureAggregator
import Logging
import Testing

@Suite struct OperationRouteTests {
  @Test("healthy says ok also while not ready, ready follows the state")
  func probes() async throws {
    let fixture = FixtureAggregator()
    try await withServer(APISources(live: fixture), token: "0123456789abcdef") { port async throws in
      #expect(try await call(port, "/-/ready").json(ReadyState.self) == .ready)
      fixture.setReady(.starting(reason: "replaying the journal, 3 of 7 segments"))
      let starting = try await call(port, "/-/ready")
      #expect(starting.status == 503)
      #expect(starting.body == "{\"reason\":\"replaying the journal, 3 of 7 segments\",\"state\":\"starting\"}\n")
      fixture.setReady(.degraded(reason: "disk full"))
      #expect(try await call(port, "/-/ready").status == 200)
      fixture.setReady(.stopping)
      #expect(try await call(port, "/-/ready").status == 503)
      let healthy = try await call(port, "/-/healthy")
      #expect(healthy.status == 200 && healthy.body == "ok\n")
    }
  }

  @Test("metrics come in the format that the Accept header asks for, and count the server's own requests")
  func metrics() async throws {
    let registry = MetricRegistry()
    registry.counter("bongsu_ingest_blocks_total", help: "blocks accepted").add(7)
    try await withServer(APISources(live: FixtureAggregator()), metrics: registry) { port async throws in
      let classic = try await call(port, "/metrics")
      #expect(classic.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8")
      #expect(classic.body.contains("bongsu_ingest_blocks_total 7\n"))
      _ = try await call(port, "/api/bongsu/v1/top/factories?limit=0")
      _ = try await call(port, "/nowhere")
      let open = try await call(port, "/metrics", headers: ["Accept": "application/openmetrics-text; version=1.0.0"])
      #expect(open.header("Content-Type") == "application/openmetrics-text; version=1.0.0; charset=utf-8")
      #expect(open.body.hasSuffix("# EOF\n"))
      #expect(open.body.contains("bongsu_http_requests_total{route=\"/metrics\",status=\"2xx\"} 1\n"))
      #expect(open.body.contains("bongsu_http_requests_total{route=\"/api/bongsu/v1/top/{level}\",status=\"4xx\"} 1\n"))
      #expect(open.body.contains("bongsu_http_requests_total{route=\"other\",status=\"4xx\"} 1\n"))
      #expect(open.body.contains("bongsu_http_refusals_total{code=\"bad_parameter\"} 1\n"))
      #expect(open.body.contains("bongsu_http_request_duration_seconds_count 3\n"))
    }
  }

  @Test("a method that an address does not have is refused with the ones that it has")
  func methods() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let answer = try await call(port, "/api/bongsu/v1/status", method: "POST", body: "x")
      #expect(answer.status == 405 && answer.refusal?.code == "method_not_allowed")
      #expect(answer.header("Allow") == "GET, HEAD")
      let head = try await call(port, "/api/bongsu/v1/status", method: "HEAD")
      #expect(head.status == 200 && head.body.isEmpty)
      let tokens = try await call(port, "/api/bongsu/v1/join-tokens", method: "DELETE")
      #expect(tokens.header("Allow") == "GET, HEAD, POST")
    }
  }

  @Test("an address in use is told as such")
  func addressInUse() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let service = try BongsuService(
        configuration: APIConfiguration(port: port, version: "test"), sources: APISources(live: FixtureAggregator()),
        metrics: MetricRegistry(), logger: Logger(label: "test"))
      await #expect(throws: APIServerError.cannotListen(host: "127.0.0.1", port: port, errno: 98)) {
        try await service.run()
      }
    }
  }
}
