import AsyncHTTPClient
import BongsuQuery
import BongsuSeries
import FixtureAggregator
import Foundation
import NIOCore
import NIOHTTP1
import Testing

@testable import BongsuAPI

/// What clients ask beside queries: federation, facts about the server, compression.
@Suite struct PrometheusStatusTests {
  /// Two GPUs and a total with a sample at this instant, and one series that has ended.
  private static func sources() -> APISources {
    let now = Int64(Date().timeIntervalSince1970) * 1000 - 1000
    var series = MemorySeries()
    func add(_ name: String, _ labels: [(String, String)], _ values: [Double]) {
      let set = LabelSet(metricName: name, labels: labels.map { Label(name: $0.0, value: $0.1) })
      for (index, value) in values.enumerated() {
        series.append(set, timestamp: now + Int64(index - values.count + 1) * 100, value: value)
      }
    }
    add("bongsu_gpu_power_watts", [("gpu", "1"), ("hall", "a\"\\\n")], [1, 612.5])
    add("bongsu_gpu_power_watts", [("gpu", "0"), ("instance", "n1")], [1e-7])
    add("bongsu_gpu_energy_joules_total", [], [.infinity])
    add("ended", [("gpu", "0")], [1, StaleMarker.value])
    return APISources(
      live: FixtureAggregator(), series: series,
      metadata: [
        MetricMetadata(name: "bongsu_gpu_power_watts", kind: .gauge, help: "", unit: "watts"),
        MetricMetadata(name: "bongsu_gpu_energy_joules_total", kind: .counter, help: "", unit: "joules"),
      ])
  }

  @Test("federation gives the newest sample of each series once, with its type and time, and nothing that has ended")
  func federation() async throws {
    try await withServer(Self.sources()) { port async throws in
      let answer = try await call(
        port, "/federate?match%5B%5D=%7B__name__=~%22.%2B%22%7D&match%5B%5D=bongsu_gpu_power_watts")
      #expect(answer.status == 200 && answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8")
      let lines = answer.body.split(separator: "\n").map { line in
        line.hasPrefix("#") ? String(line) : line.split(separator: " ").dropLast().joined(separator: " ")
      }
      #expect(
        lines == [
          "# TYPE bongsu_gpu_energy_joules_total counter", #"bongsu_gpu_energy_joules_total{instance=""} +Inf"#,
          "# TYPE bongsu_gpu_power_watts gauge", #"bongsu_gpu_power_watts{gpu="0",instance="n1"} 1e-07"#,
          #"bongsu_gpu_power_watts{gpu="1",hall="a\"\\\n",instance=""} 612.5"#,
        ])
      #expect(try await call(port, "/federate").body.isEmpty)
      let refused = try await call(port, "/federate?match%5B%5D=%7B")
      #expect(refused.status == 400 && refused.body.contains("parse error"))
    }
  }

  @Test(
    "facts, formatted expressions and exemplars have the shape that clients read",
    arguments: [
      ("status/flags", #""query.lookback-delta":"5m""#),
      ("status/tsdb", #""headStats":{"numSeries":3,"#),
      ("status/tsdb", #""seriesCountByMetricName":[{"name":"bongsu_gpu_power_watts","value":2},"#),
      ("status/tsdb?limit=1", #""labelValueCountByLabelName":[{"name":"__name__","value":2}]"#),
      ("format_query?query=sum(x)by(a)", #""data":"sum by (a) (x)""#),
      ("query_exemplars?query=x&start=1&end=2", #""data":[]"#),
      ("status/buildinfo", #""version":"2.42.0""#),
    ])
  func facts(path: String, part: String) async throws {
    try await withServer(Self.sources()) { port async throws in
      let answer = try await call(port, "/api/v1/" + path)
      #expect(answer.status == 200 && answer.body.contains(part), "\(answer.body)")
    }
  }

  @Test(
    "what cannot be formatted or dated is refused",
    arguments: [
      "format_query?query=sum(", "format_query", "query_exemplars?query=(&start=1&end=2",
      "query_exemplars?query=x&end=2",
      "query_exemplars?query=x&start=3&end=2", "status/tsdb?limit=-1",
    ])
  func refusals(path: String) async throws {
    try await withServer(Self.sources()) { port async throws in
      let answer = try await call(port, "/api/v1/" + path)
      #expect(answer.status == 400 && answer.body.contains("\"errorType\":\"bad_data\""), "\(answer.body)")
    }
  }

  @Test(
    "long answers are compressed for those who take gzip, and only for them",
    arguments: [
      ("gzip, deflate", true), ("deflate, gzip;q=0.5", true), ("*", true), ("gzip;q=0", false), ("*;q=0", false),
      ("br", false), ("", false), ("gzip;q=0, *", false),
    ])
  func compression(accepts: String, isCompressed: Bool) async throws {
    try await withServer(Self.sources()) { port async throws in
      let path = "/api/v1/query_range?query=vector(time())&start=0&end=10000&step=1"
      let plain = try await call(port, path)
      var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)")
      request.headers.add(name: "Accept-Encoding", value: accepts)
      // The shared client would unpack the answer.
      let client = HTTPClient(configuration: HTTPClient.Configuration(decompression: .disabled))
      let response: HTTPClientResponse
      let body: ByteBuffer
      do {
        response = try await client.execute(request, timeout: .seconds(30))
        body = try await response.body.collect(upTo: 64 << 20)
        try await client.shutdown()
      } catch {
        try await client.shutdown()
        throw error
      }
      #expect(response.headers.first(name: "vary") == "Accept-Encoding")
      guard isCompressed else {
        #expect(response.headers.first(name: "content-encoding") == nil && String(buffer: body) == plain.body)
        return
      }
      #expect(response.headers.first(name: "content-encoding") == "gzip")
      #expect(body.readableBytes * 2 < plain.body.utf8.count)
      #expect(try await Self.unpacked(body) == plain.body)
    }
  }

  @Test("short answers and refusals stay plain, and a HEAD has no body to compress")
  func uncompressed() async throws {
    try await withServer(Self.sources()) { port async throws in
      for (method, path) in [("GET", "/api/v1/query?query=1"), ("HEAD", "/api/v1/metadata"), ("GET", "/nowhere")] {
        let answer = try await call(port, path, method: method, headers: ["Accept-Encoding": "gzip"])
        #expect(answer.header("content-encoding") == nil)
      }
    }
  }

  /// What the system's gzip makes of it.
  private static func unpacked(_ body: ByteBuffer) async throws -> String {
    let folder = FileManager.default.temporaryDirectory
    let file = folder.appending(path: "bongsu-\(UUID().uuidString).gz")
    try Data(body.readableBytesView).write(to: file)
    defer { try? FileManager.default.removeItem(at: file.deletingPathExtension()) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/gunzip")
    process.arguments = [file.path]
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
      process.terminationHandler = { _ in continuation.resume() }
      do { try process.run() } catch { continuation.resume(throwing: error) }
    }
    return try String(contentsOf: file.deletingPathExtension(), encoding: .utf8)
  }
}
