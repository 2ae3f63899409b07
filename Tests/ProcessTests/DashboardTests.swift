import Foundation
import Glibc
import QueryOracle
import Testing

/// The dashboards for Grafana, asked as Grafana asks, over a running aggregator and simulated nodes.
@Suite("Grafana's dashboards", .serialized)
struct DashboardTests {
  private struct Dashboard: Decodable {
    struct Variable: Decodable {
      let name: String
      let type: String
      let definition: String?
    }
    struct Templating: Decodable { let list: [Variable] }
    struct Target: Decodable {
      let expr: String
      let instant: Bool
    }
    struct Panel: Decodable {
      let title: String
      let targets: [Target]
    }

    let uid: String
    let title: String
    let templating: Templating
    let panels: [Panel]
  }

  private static let folder = URL(fileURLWithPath: repository).appending(path: "ops/grafana")

  @Test("every panel of every dashboard has an answer with values, and variables have choices")
  func panels() async throws {
    let nation = try RunningNation(nodes: 24)
    let isThere = try await eventually(within: 300) {
      let nodes = try await nation.bongsu("labels", "node", "--match", "bongsu_gpu_power_watts")
      guard nodes.output.split(separator: "\n").count >= 10 else { return false }
      return try await nation.bongsu("query", "rate(bongsu_ingest_samples_total[1m])").output != "no series\n"
    }
    try #require(isThere, "\(nation.log)")
    // A rate wants two samples, a quarter-hour's forecast some seconds.
    try await Task.sleep(for: .seconds(12))
    let files = try FileManager.default.contentsOfDirectory(at: Self.folder, includingPropertiesForKeys: nil)
      .filter { $0.pathExtension == "json" }.sorted { $0.path < $1.path }
    #expect(files.count == 5)
    let url = nation.url
    for file in files {
      let board = try JSONDecoder().decode(Dashboard.self, from: Data(contentsOf: file))
      #expect(!board.panels.isEmpty && board.uid.hasPrefix("bongsu-"))
      let checked = await Task.detached { Self.check(board, PrometheusClient(address: url)) }.value
      #expect(checked.isEmpty, "\(checked.joined(separator: "\n"))")
    }
    nation.fleet.send(SIGTERM)
    nation.aggregator.terminate()
  }

  /// What is wrong with a dashboard; blocks its thread.
  private static func check(_ board: Dashboard, _ client: PrometheusClient) -> [String] {
    var values = ["__rate_interval": "1m", "__interval": "5s", "__range": "15m"]
    var faults: [String] = []
    for variable in board.templating.list where variable.type == "query" {
      guard
        let found = choices(expanded(variable.definition ?? "", values), client).first(where: { $0 != "unassigned" })
      else {
        faults.append("\(board.title): no choice for $\(variable.name)")
        continue
      }
      values[variable.name] = found
    }
    for panel in board.panels {
      for target in panel.targets {
        let expression = expanded(target.expr, values)
        do {
          let now = Int64(Date().timeIntervalSince1970 * 1000)
          let answer =
            target.instant
            ? try client.instant(expression, at: now)
            : try client.range(expression, start: now - 60_000, end: now, step: 5000)
          let series = try answer.get()
          if !series.values.contains(where: { $0.values.contains { !$0.isNaN } }) {
            faults.append("\(board.title), \(panel.title): \(expression) has no value")
          }
        } catch {
          faults.append("\(board.title), \(panel.title): \(expression): \(error)")
        }
      }
    }
    return faults
  }

  private static func expanded(_ text: String, _ values: [String: String]) -> String {
    // The longest names first, so that none is taken for the beginning of another.
    values.sorted { $0.key.count > $1.key.count }.reduce(text) { $0.replacing("$" + $1.key, with: $1.value) }
  }

  /// The choices of `label_values(SELECTOR, LABEL)`, as Grafana asks for them.
  private static func choices(_ definition: String, _ client: PrometheusClient) -> [String] {
    struct Values: Decodable { let data: [String] }
    guard let parts = definition.wholeMatch(of: /label_values\((.*), *([a-z_]+)\)/),
      let (_, body) = try? client.get("/api/v1/label/\(parts.2)/values", ["match[]": String(parts.1)])
    else { return [] }
    return (try? JSONDecoder().decode(Values.self, from: body).data) ?? []
  }
}
