import BongsuTestKit
import Foundation
import Testing

@Suite("runs of the fleet simulator")
struct SimulatorRunsTests {
  @Test("every row that was acknowledged is exported once, also when the same seed runs again over the same data")
  func again() async throws {
    let folder = try TemporaryDirectory()
    let (ingest, http) = (freePort(), freePort())
    let url = "http://127.0.0.1:\(http)"
    let plan = "\(repository)/ops/fleets/korea.yaml"
    let aggregator = try RunningProgram(
      "bongsu-aggregator",
      [
        "--fleet", plan, "--data", "\(folder.path)/data", "--listen", "127.0.0.1:\(ingest)", "--http",
        "127.0.0.1:\(http)", "--demo-in-service",
      ])
    let isReady = try await eventually(within: 120) { shellOutput("curl -sf '\(url)/-/ready'") != nil }
    try #require(isReady, "\(aggregator.errors)")
    let began = Int(Date().timeIntervalSince1970) - 5
    var acknowledged = 0
    for _ in 0..<4 {
      let fleet = try await run(
        "bongsu-fleet",
        [
          "--fleet", plan, "--aggregator", "127.0.0.1:\(ingest)", "--nodes", "12", "--duration", "2", "--seed", "5",
          "--grace", "120", "--format", "json",
        ], within: 180)
      try #require(fleet.status == 0, "\(fleet.errors)")
      let line = try #require(fleet.output.split(separator: "\n").last)
      let account = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      #expect(account["rows_acknowledged"] as? Int == account["rows_sampled"] as? Int, "\(line)")
      acknowledged += account["rows_acknowledged"] as? Int ?? 0
    }
    #expect(acknowledged >= 48)
    let end = Int(Date().timeIntervalSince1970) + 5
    let export = try await run(
      "bongsu",
      [
        "export", "--match", "bongsu_gpu_power_watts", "--start", "\(began)", "--end", "\(end)", "--format",
        "openmetrics",
        "--url", url,
      ])
    try #require(export.status == 0, "\(export.errors)")
    // A row of a node is one instant of its first GPU.
    var rows: Set<String> = []
    for line in export.output.split(separator: "\n") where line.contains("gpu=\"0\"") {
      let node = line.split(separator: "node=\"").last?.prefix { $0 != "\"" } ?? ""
      let isNew = rows.insert("\(node) \(line.split(separator: " ").last ?? "")").inserted
      #expect(isNew, "twice: \(line)")
    }
    #expect(rows.count == acknowledged)
    aggregator.terminate()
    #expect(try await aggregator.ended(within: 60)?.status == 0)
  }
}
