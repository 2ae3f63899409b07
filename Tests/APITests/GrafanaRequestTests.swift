import BongsuSeries
import FixtureAggregator
import Foundation
import Testing

@testable import BongsuAPI

/// The requests that Grafana's Prometheus data source makes, in the shape in which it makes them: method, path, where the
/// parameters stand, and which members of the answer it reads.
@Suite struct GrafanaRequestTests {
  struct Recorded: Sendable, CustomStringConvertible {
    let what: String
    let method: String
    let path: String
    var form = ""
    /// Parts of the answer that Grafana needs.
    let parts: [String]

    var description: String { what }
  }

  static let recorded = [
    Recorded(
      what: "save and test", method: "POST", path: "/api/v1/query", form: "query=1%2B1&time=1795253400.123",
      parts: [#""resultType":"scalar""#, #""2""#]),
    Recorded(
      what: "which product answers", method: "GET", path: "/api/v1/status/buildinfo",
      parts: [#""version":"2.42.0""#]),
    Recorded(what: "help of metrics", method: "GET", path: "/api/v1/metadata?limit=40000", parts: [#""type":"gauge""#]),
    Recorded(
      what: "metric browser, names", method: "GET",
      path: "/api/v1/label/__name__/values?start=1795253000&end=1795253500", parts: ["bongsu_gpu_power_watts"]),
    Recorded(
      what: "metric browser, names that match", method: "GET",
      path:
        "/api/v1/label/__name__/values?start=1795253000&end=1795253500&match%5B%5D=%7B__name__%3D~%22.*power.*%22%7D&limit=40000",
      parts: ["bongsu_gpu_power_watts"]),
    Recorded(
      what: "labels, as a form", method: "POST", path: "/api/v1/labels", form: "start=1795253000&end=1795253500",
      parts: [#""allocation""#, #""gpu""#]),
    Recorded(
      what: "labels, in the address", method: "GET", path: "/api/v1/labels?start=1795253000&end=1795253500",
      parts: [#""allocation""#]),
    Recorded(
      what: "variable: label_values(metric, label)", method: "GET",
      path: "/api/v1/label/gpu/values?match%5B%5D=bongsu_gpu_power_watts&start=1795253000&end=1795253500",
      parts: [#"["0","1"]"#]),
    Recorded(
      what: "variable: series, as a form", method: "POST", path: "/api/v1/series",
      form: "match%5B%5D=bongsu_gpu_power_watts%7Bgpu%3D%220%22%7D&start=1795253000&end=1795253500",
      parts: [#""gpu":"0""#]),
    Recorded(
      what: "variable: query_result(expression)", method: "POST", path: "/api/v1/query",
      form: "query=sum+by+%28gpu%29+%28bongsu_gpu_power_watts%29&time=1795253401", parts: [#""resultType":"vector""#]),
    Recorded(
      what: "a panel over time", method: "POST", path: "/api/v1/query_range",
      form: "end=1795253402&query=bongsu_gpu_power_watts%7Bgpu%3D%220%22%7D&start=1795253400&step=1",
      parts: [#""resultType":"matrix""#, #"[1795253401,"601.5"]"#]),
    Recorded(
      what: "a panel that asks for exemplars", method: "POST", path: "/api/v1/query_exemplars",
      form: "end=1795253402&query=bongsu_gpu_power_watts&start=1795253400", parts: [#""data":[]"#]),
    Recorded(
      what: "annotations from alerts", method: "POST", path: "/api/v1/query_range",
      form: "end=1795253402&query=ALERTS%7Balertstate%3D%22firing%22%7D&start=1795253400&step=60",
      parts: [#""result":[]"#]),
    Recorded(
      what: "the expression formatted", method: "POST", path: "/api/v1/format_query",
      form: "query=sum%28bongsu_gpu_power_watts%29by%28gpu%29", parts: ["sum by (gpu) (bongsu_gpu_power_watts)"]),
  ]

  @Test("each recorded request of the data source is answered with what it reads", arguments: recorded)
  func answered(request: Recorded) async throws {
    try await withServer(PrometheusTests.sources()) { port async throws in
      var headers = ["Accept-Encoding": "identity", "X-Grafana-User": "admin"]
      if !request.form.isEmpty { headers["Content-Type"] = "application/x-www-form-urlencoded" }
      let answer = try await call(
        port, request.path, method: request.method, headers: headers, body: request.form.isEmpty ? nil : request.form)
      #expect(answer.status == 200 && answer.body.hasPrefix("{\"status\":\"success\",\"data\":"), "\(answer.body)")
      for part in request.parts { #expect(answer.body.contains(part), "\(answer.body)") }
    }
  }

  @Test("a panel with a mistake is refused in the words that Grafana shows")
  func mistake() async throws {
    try await withServer(PrometheusTests.sources()) { port async throws in
      let answer = try await call(
        port, "/api/v1/query_range", method: "POST", headers: ["Content-Type": "application/x-www-form-urlencoded"],
        body: "query=sum%28&start=1&end=2&step=1")
      #expect(answer.status == 400 && answer.body.contains("parse error"))
    }
  }

  @Test("rules and alerts, which Grafana lists, have their envelope even where none are evaluated")
  func rules() async throws {
    try await withServer(PrometheusTests.sources()) { port async throws in
      for path in ["/api/v1/rules?type=alert", "/api/v1/alerts"] {
        let answer = try await call(port, path)
        #expect(answer.body.hasPrefix("{\"status\":\"error\",\"errorType\":\"unavailable\""), "\(answer.body)")
      }
    }
  }
}
