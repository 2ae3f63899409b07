import BongsuTestKit
import Foundation
import QueryOracle
import Testing

/// Debian's promtool asks a running aggregator, as people do who come from Prometheus.
@Suite("promtool query against a running aggregator")
struct PromtoolQueryTests {
  @Test(
    "instants, ranges, series and labels are printed, and errors are told as Prometheus tells them",
    .enabled(if: PrometheusServer.isInstalled, "needs prometheus and promtool in /usr/bin"),
    .timeLimit(.minutes(5)))
  func queries() async throws {
    let nation = try RunningNation(nodes: 3)
    let isThere = try await eventually(within: 120) {
      try await ask("instant", [nation.url, "count(count by (node) (bongsu_gpu_power_watts offset 5s)) == 3"]).output
        .contains(
          "=>")
    }
    try #require(isThere, "\(nation.log)")
    let gpus = try #require(number(try await ask("instant", [nation.url, "count(bongsu_gpu_power_watts)"]).output))

    // promtool prints a vector as `{labels} => value @[seconds]`, one series a line.
    let vector = try await ask("instant", [nation.url, "bongsu_gpu_power_watts > 0"])
    let lines = vector.output.split(separator: "\n")
    #expect(vector.status == 0 && Double(lines.count) == gpus, "\(vector)")
    #expect(
      lines.allSatisfy { $0.hasPrefix("bongsu_gpu_power_watts{allocation=\"") && $0.contains("} => ") }, "\(vector)")
    let sum = try await ask("instant", [nation.url, "sum by (nation) (bongsu_gpu_power_watts)"])
    #expect(sum.output.hasPrefix("{nation=\"kr\"} => "), "\(sum)")
    #expect(number(try await ask("instant", [nation.url, "scalar(vector(6)) * 7"]).output) == 42)
    let json = try await ask("instant", ["-o", "json", nation.url, "vector(1)"])
    #expect(json.output.hasPrefix("[{\"metric\":{},\"value\":["), "\(json)")

    // A range: a line for the series, then one for each step.
    let end = Int(Date().timeIntervalSince1970) - 2
    let range = try await ask(
      "range",
      ["--start", "\(end - 2)", "--end", "\(end)", "--step", "1s", nation.url, "count(bongsu_gpu_power_watts)"])
    #expect(range.status == 0 && range.output.hasPrefix("{} =>\n"), "\(range)")
    #expect(
      range.output.split(separator: "\n").dropFirst().map { String($0) }
        == (0...2).map { "\(Int(gpus)) @[\(end - 2 + $0)]" }, "\(range)")

    let series = try await ask(
      "series", ["--match", "bongsu_gpu_power_watts", "--match", "nation:bongsu_gpus:expected", nation.url])
    let sets = series.output.split(separator: "\n")
    #expect(series.status == 0 && Double(sets.count) == gpus + 1, "\(series)")
    #expect(sets.filter { $0.contains("__name__=\"nation:bongsu_gpus:expected\"") }.count == 1, "\(series)")

    let labels = try await ask("labels", [nation.url, "node"])
    #expect(labels.status == 0 && labels.output.split(separator: "\n").count >= 3, "\(labels)")
    #expect(try await ask("labels", [nation.url, "nation"]).output == "kr\n")
    #expect(try await ask("labels", [nation.url, "nowhere"]).output == "")

    for (what, arguments, said) in [
      ("instant", [nation.url, "sum("], "bad_data: invalid parameter \"query\""),
      ("instant", [nation.url, "rate(bongsu_gpu_power_watts)"], "expected type range vector"),
      ("range", ["--start", "1", "--end", "100000", "--step", "1s", nation.url, "1"], "exceeded maximum resolution"),
      ("range", ["--start", "1", "--end", "9", nation.url, "1[5s]"], "bad_data"),
      ("series", ["--match", "{", nation.url], "bad_data"),
      ("series", ["--match", "{a=\"\"}", nation.url], "bad_data"),
      ("labels", [nation.url, "a-b"], "bad_data: invalid label name"),
    ] {
      let refused = try await ask(what, arguments)
      #expect(refused.status == 1 && refused.errors.contains(said), "\(what) \(arguments): \(refused)")
    }
    nation.fleet.send(SIGTERM)
    nation.aggregator.terminate()
  }

  /// The number after the arrow of a single line, or alone before its instant.
  private func number(_ output: String) -> Double? {
    let words = output.split(whereSeparator: \.isWhitespace)
    guard let place = words.lastIndex(where: { $0.hasPrefix("@[") }), place > 0 else {
      // A scalar: `scalar: 42 @[seconds]`.
      return nil
    }
    return Double(words[place - 1])
  }

  private func ask(_ what: String, _ arguments: [String]) async throws -> Ended {
    try await run(PrometheusServer.toolPath, ["query", what] + arguments, within: 90)
  }
}
