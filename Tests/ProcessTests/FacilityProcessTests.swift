import BongsuTestKit
import Foundation
import Testing

/// The facility agent as its users start it: joins for the names of its file, reads over HTTP, delivers encrypted.
@Suite("the facility agent's process")
struct FacilityProcessTests {
  @Test("an exporter's GPUs and a meter arrive under their own names, each by a key of its own; what ends is absent")
  func delivers() async throws {
    let folder = try TemporaryDirectory()
    let pages = try Pages(folder.path + "/pages")
    let trace = "\(repository)/Tests/FacilityAgentTests/Pages/h100x8-pod-labels-excerpt.prom"
    try FileManager.default.copyItem(atPath: trace, toPath: pages.folder + "/gpus")
    try "feeder_kw{feeder=\"A\"} 12.5\n".write(toFile: pages.folder + "/meters", atomically: true, encoding: .utf8)
    let fleet = try String(contentsOfFile: "\(repository)/ops/fleets/single-node.yaml", encoding: .utf8)
      .replacingOccurrences(of: "contract_power: 20 kW", with: "contract_power: 20 kW\n        source_node: feeder-a")
    try fleet.write(toFile: "\(folder.path)/fleet.yaml", atomically: true, encoding: .utf8)
    let ports = (ingest: freePort(), enrol: freePort(), http: freePort())
    let url = "http://127.0.0.1:\(ports.http)"
    let aggregator = try RunningProgram(
      "bongsu-aggregator",
      [
        "--fleet", "\(folder.path)/fleet.yaml", "--data", "\(folder.path)/data", "--secure", "--listen",
        "127.0.0.1:\(ports.ingest)", "--enrol-listen", "127.0.0.1:\(ports.enrol)", "--http", "127.0.0.1:\(ports.http)",
      ])
    let file = "\(folder.path)/facility.yaml"
    try """
    state: \(folder.path)/state
    spool: \(folder.path)/spool
    interval: 1s
    sources:
      - {dcgm: '\(pages.url)/gpus', node: node-1}
      - prometheus: \(pages.url)/meters
        series: [{node: feeder-a, series: feeder_kw, labels: {feeder: A}, factor: 1000}]
    """.write(toFile: file, atomically: true, encoding: .utf8)
    let checked = try await run("bongsu-facility-agent", ["--config", file, "--check-config"])
    #expect(checked.status == 0 && checked.output.contains("2 endpoints for 2 nodes and meters"), "\(checked.errors)")
    let sampled = try await run("bongsu-facility-agent", ["sample", "--config", file])
    #expect(sampled.status == 0 && sampled.output.contains("bongsu_node_power_watts 12500"), "\(sampled.errors)")
    // A string for other names lets nobody in; the right one serves both.
    let wrong = try await joinString(url, patterns: "other-[1-2]")
    let refused = try await run("bongsu-facility-agent", ["join", wrong, "--config", file])
    #expect(refused.status == 1 && refused.errors.contains("2 of 2 names could not join"), "\(refused.errors)")
    let joined = try await run(
      "bongsu-facility-agent", ["join", try await joinString(url, patterns: "node-1,feeder-a"), "--config", file])
    #expect(joined.status == 0, "\(joined.errors)")
    let keys = ["node-1", "feeder-a"].map { "\(folder.path)/state/\($0)/identity" }
    #expect(keys.allSatisfy { FileManager.default.fileExists(atPath: $0) })
    let agent = try RunningProgram("bongsu-facility-agent", ["--config", file])
    let meter = "bongsu_node_power_watts{node=\"feeder-a\"}"
    let gpus = "sum(bongsu_gpu_power_watts{node=\"node-1\"})"
    let isShown = try await eventually(within: 40) {
      value(of: meter, url) == "12500" && isRecorded(value(of: gpus, url))
    }
    let seen = (value(of: meter, url), value(of: gpus, url))
    #expect(!agent.errors.contains("spool"), "\(agent.errors)")
    #expect(isShown, "\(seen)\nagent: \(agent.errors)\naggregator: \(aggregator.errors)")
    // The meter's page ends: its reading goes, the GPUs stay.
    try FileManager.default.removeItem(atPath: pages.folder + "/meters")
    let isGone = try await eventually(within: 20) {
      value(of: meter, url) == nil && isRecorded(value(of: gpus, url))
    }
    #expect(isGone, "\(agent.errors)")
    #expect(agent.errors.contains("\(pages.url)/meters answers 404"))
    agent.terminate()
    #expect(try await agent.ended(within: 15)?.status == 0)
    aggregator.terminate()
    #expect(try await aggregator.ended(within: 15)?.status == 0)
  }

  /// Whether it is the sum of the page's GPUs, less what adding in another order changes.
  private func isRecorded(_ watts: String?) -> Bool { abs((watts.flatMap(Double.init) ?? 0) - 583.767) < 1e-6 }

  private func joinString(_ url: String, patterns: String) async throws -> String {
    var text: String?
    _ = try await eventually(within: 20) {
      let ended = try await run("bongsu", ["join-token", "create", "--uses", "2", "--nodes", patterns, "--url", url])
      text = ended.output.split(whereSeparator: \.isWhitespace).first { $0.hasPrefix("bongsu1") }.map(String.init)
      return text != nil
    }
    return try #require(text)
  }

  /// The one value of an instant query; `nil` when there is none.
  private func value(of query: String, _ url: String) -> String? {
    var address = URLComponents(string: url + "/api/v1/query")!
    address.queryItems = [URLQueryItem(name: "query", value: query)]
    guard let text = shellOutput("curl -sf '\(address.url!.absoluteString)'"),
      let answer = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any],
      let data = answer["data"] as? [String: Any], let result = data["result"] as? [[String: Any]],
      let pair = result.first?["value"] as? [Any]
    else { return nil }
    return pair.last as? String
  }
}

/// Files served over HTTP by Python, as long as the value lives.
private final class Pages {
  let folder: String
  let url: String
  private let process = Process()

  init(_ folder: String) throws {
    self.folder = folder
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let port = freePort()
    url = "http://127.0.0.1:\(port)"
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["python3", "-m", "http.server", "\(port)", "--bind", "127.0.0.1", "--directory", folder]
    process.standardError = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    try process.run()
  }

  deinit { process.terminate() }
}
