import BongsuSeries
import FixtureAggregator
import Foundation
import Testing

@testable import BongsuAPI

/// Where promtool is, `nil` when it is not installed.
private let promtool = ["/usr/bin/promtool", "/usr/local/bin/promtool"].first {
  FileManager.default.isExecutableFile(atPath: $0)
}

@Suite struct PrometheusTests {
  /// Two GPUs of two allocations at three seconds, from 2026-11-21T09:30:00Z.
  static func sources() -> APISources {
    var series = MemorySeries()
    for second in 0..<3 {
      for (gpu, allocation) in [("0", "msit/naver-hosted"), ("1", "naver")] {
        let labels = LabelSet([
          Label(name: "__name__", value: "bongsu_gpu_power_watts"), Label(name: "gpu", value: gpu),
          Label(name: "allocation", value: allocation),
        ])
        series.append(
          labels, timestamp: 1_795_253_400_000 + Int64(second) * 1000, value: gpu == "0" ? 600.5 + Double(second) : 1e-7
        )
      }
    }
    return APISources(
      live: FixtureAggregator(), series: series,
      metadata: [
        MetricMetadata(name: "bongsu_gpu_power_watts", kind: .gauge, help: "power \"mean\"", unit: "watts")
      ])
  }

  @Test(
    "answers have the bytes that Prometheus would send",
    arguments: [
      (
        "query?query=bongsu_gpu_power_watts&time=1795253401.5",
        #"{"resultType":"vector","result":[{"metric":{"__name__":"bongsu_gpu_power_watts","allocation":"msit/naver-hosted","gpu":"0"},"value":[1795253401.500,"601.5"]},{"metric":{"__name__":"bongsu_gpu_power_watts","allocation":"naver","gpu":"1"},"value":[1795253401.500,"1e-07"]}]}"#
      ),
      ("query?query=1%2B1&time=0", #"{"resultType":"scalar","result":[0,"2"]}"#),
      ("query?query=1/0&time=-0.001", #"{"resultType":"scalar","result":[-0.001,"+Inf"]}"#),
      (
        "query?query=%22a%5C%22b%22&time=2026-11-21T09:30:00Z", #"{"resultType":"string","result":[1795253400,"a\"b"]}"#
      ),
      ("query?query=nothing&time=1", #"{"resultType":"vector","result":[]}"#),
      (
        "query?query=bongsu_gpu_power_watts%7Bgpu=%220%22%7D[2s]&time=1795253402",
        #"{"resultType":"matrix","result":[{"metric":{"__name__":"bongsu_gpu_power_watts","allocation":"msit/naver-hosted","gpu":"0"},"values":[[1795253400,"600.5"],[1795253401,"601.5"],[1795253402,"602.5"]]}]}"#
      ),
      (
        "query_range?query=sum(bongsu_gpu_power_watts%7Bgpu=%220%22%7D)&start=1795253400&end=1795253401.5&step=500ms",
        #"{"resultType":"matrix","result":[{"metric":{},"values":[[1795253400,"600.5"],[1795253400.500,"600.5"],[1795253401,"601.5"],[1795253401.500,"601.5"]]}]}"#
      ),
      (
        "series?match[]=%7Ballocation=~%22msit(/.*)?%22%7D",
        #"[{"__name__":"bongsu_gpu_power_watts","allocation":"msit/naver-hosted","gpu":"0"}]"#
      ),
      ("labels", #"["__name__","allocation","gpu"]"#),
      ("label/gpu/values?match[]=%7Ballocation=%22naver%22%7D", #"["1"]"#),
      ("label/gpu/values?limit=1", #"["0"]"#), ("label/gpu/values?start=1795253403&end=1795253500", "[]"),
      ("metadata", #"{"bongsu_gpu_power_watts":[{"type":"gauge","help":"power \"mean\"","unit":"watts"}]}"#),
      ("metadata?metric=up", "{}"),
    ])
  func answers(path: String, data: String) async throws {
    try await withServer(Self.sources()) { port async throws in
      let answer = try await call(
        port, "/api/v1/" + path.replacingOccurrences(of: "[", with: "%5B").replacingOccurrences(of: "]", with: "%5D"))
      #expect(answer.body == "{\"status\":\"success\",\"data\":\(data)}\n" && answer.status == 200)
    }
  }

  @Test(
    "refusals have the status, type and words of Prometheus",
    arguments: [
      ("query?query=sum(", 400, "bad_data", "invalid parameter \"query\": 1:5: parse error: "),
      ("query?query=", 400, "bad_data", "invalid parameter \"query\": 1:1: parse error: no expression found in input"),
      (
        "query?query=1&time=soon", 400, "bad_data",
        "invalid parameter \"time\": cannot parse \"soon\" to a valid timestamp"
      ),
      (
        "query?query=1&time=NaN", 400, "bad_data",
        "invalid parameter \"time\": cannot parse \"NaN\" to a valid timestamp"
      ),
      ("query?query=1&time=1e30", 400, "bad_data", "invalid parameter \"time\": cannot parse \"1e30\""),
      (
        "query?query=1&timeout=never", 400, "bad_data",
        "invalid parameter \"timeout\": cannot parse \"never\" to a valid duration"
      ),
      (
        "query_range?query=1&start=2&end=1&step=1", 400, "bad_data",
        "invalid parameter \"end\": end timestamp must not be before start time"
      ),
      (
        "query_range?query=1&start=0&end=1&step=0", 400, "bad_data",
        "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer"
      ),
      (
        "query_range?query=1&start=0&end=1", 400, "bad_data",
        "invalid parameter \"step\": cannot parse \"\" to a valid duration"
      ),
      (
        "query_range?query=1&start=0&end=11001&step=1", 400, "bad_data",
        "exceeded maximum resolution of 11,000 points per timeseries."
      ),
      ("series", 400, "bad_data", "no match[] parameter provided"),
      ("series?match%5B%5D=%7Ba=~%22.*%22%7D", 400, "bad_data", ""),
      ("label/0x/values", 400, "bad_data", "invalid label name: \"0x\""),
      (
        "query?query=bongsu_gpu_power_watts%2Bon()bongsu_gpu_power_watts&time=1795253400", 422, "execution", ""
      ),
    ])
  func refusals(path: String, status: Int, kind: String, message: String) async throws {
    struct Refusal: Decodable {
      let status: String
      let errorType: String
      let error: String
    }
    try await withServer(Self.sources()) { port async throws in
      let answer = try await call(port, "/api/v1/" + path)
      let refusal = try answer.json(Refusal.self)
      #expect(refusal.status == "error" && refusal.errorType == kind && answer.status == status, "\(answer.body)")
      #expect(refusal.error.hasPrefix(message), "\(refusal.error)")
    }
  }

  @Test("a form body counts before the address, and carries expressions beyond any address")
  func forms() async throws {
    try await withServer(Self.sources()) { port async throws in
      let long = "1" + String(repeating: "%2B1", count: 100) + String(repeating: "+", count: 200_000)
      let headers = ["Content-Type": "application/x-www-form-urlencoded"]
      let answer = try await call(
        port, "/api/v1/query?query=7&time=1", method: "POST", headers: headers, body: "query=" + long)
      #expect(answer.body.contains("[1,\"101\"]"))
      let huge = "query=" + String(repeating: "x", count: APILimits.queryBodyBytesMax)
      let refused = try await call(port, "/api/v1/query", method: "POST", headers: headers, body: huge)
      #expect(refused.status == 400 && refused.body.contains("\"errorType\":\"bad_data\""))
      let deep = "query=" + String(repeating: "(", count: 10_000) + "1" + String(repeating: ")", count: 10_000)
      let nested = try await call(port, "/api/v1/query", method: "POST", headers: headers, body: deep)
      #expect(nested.status == 400 && nested.body.contains("\"errorType\":\"bad_data\""))
      #expect(try await call(port, "/-/healthy").status == 200)
    }
  }

  @Test("the requests of Grafana's data source for its health check and variables are answered")
  func grafana() async throws {
    try await withServer(Self.sources()) { port async throws in
      let headers = ["Content-Type": "application/x-www-form-urlencoded"]
      for (path, body) in [
        ("/api/v1/query", "query=1%2B1&time=1795253400.123"), ("/api/v1/labels", "start=1795250000&end=1795253600"),
        ("/api/v1/series", "match%5B%5D=bongsu_gpu_power_watts&start=1795250000&end=1795253600"),
        ("/api/v1/query_range", "query=up&start=1795250000&end=1795253600&step=15"),
      ] {
        let answer = try await call(port, path, method: "POST", headers: headers, body: body)
        #expect(answer.status == 200 && answer.body.hasPrefix("{\"status\":\"success\""), "\(path) \(answer.body)")
      }
      for path in [
        "/api/v1/status/buildinfo", "/api/v1/metadata?limit=5000",
        "/api/v1/label/__name__/values?start=1&end=1795253600",
      ] {
        #expect(try await call(port, path).status == 200)
      }
    }
  }

  @Test("an aggregator without series says so in the same form, a token is asked for as everywhere")
  func absence() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let answer = try await call(port, "/api/v1/query?query=1")
      #expect(answer.status == 503 && answer.body.contains("\"errorType\":\"unavailable\""))
    }
    try await withServer(Self.sources(), token: "0123456789abcdef") { port async throws in
      #expect(try await call(port, "/api/v1/labels").status == 401)
    }
  }

  @Test(
    "promtool, as a client, prints what it asks",
    .enabled(if: promtool != nil, "promtool is not installed (package prometheus)"))
  func promtoolQueries() async throws {
    try await withServer(Self.sources()) { port async throws in
      let url = "http://127.0.0.1:\(port)"
      let instant = try await Self.run(["query", "instant", "--time", "1795253402", url, "sum(bongsu_gpu_power_watts)"])
      #expect(instant == "{} => 602.5000001 @[1795253402]\n")
      let labels = try await Self.run(["query", "labels", url, "gpu"])
      #expect(labels == "0\n1\n")
      let bad = try await Self.run(["query", "instant", url, "sum("])
      #expect(bad.contains("bad_data: invalid parameter \"query\": 1:5: parse error"))
    }
  }

  private static func run(_ arguments: [String]) async throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try #require(promtool))
    process.arguments = arguments
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
      process.terminationHandler = { _ in continuation.resume() }
      do { try process.run() } catch { continuation.resume(throwing: error) }
    }
    return String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
  }
}
