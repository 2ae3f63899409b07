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
    let isShown = try await eventually(within: 120) {
      value(of: meter, url) == "12500" && isRecorded(value(of: gpus, url))
    }
    let seen = (value(of: meter, url), value(of: gpus, url))
    #expect(!agent.errors.contains("spool"), "\(agent.errors)")
    #expect(isShown, "\(seen)\nagent: \(agent.errors)\naggregator: \(aggregator.errors)")
    // The meter's page ends: its reading goes, the GPUs stay.
    try FileManager.default.removeItem(atPath: pages.folder + "/meters")
    let isGone = try await eventually(within: 120) {
      value(of: meter, url) == nil && isRecorded(value(of: gpus, url))
    }
    #expect(isGone, "\(agent.errors)")
    #expect(agent.errors.contains("\(pages.url)/meters answers 404"))
    agent.terminate()
    #expect(try await agent.ended(within: 15)?.status == 0)
    aggregator.terminate()
    #expect(try await aggregator.ended(within: 15)?.status == 0)
    withExtendedLifetime(pages) {}
  }

  @Test("a node with an agent gets its machine's power from its controller: measured, in every level, once")
  func besideAgent() async throws {
    let site = try Site()
    try await site.startAggregator(secure: true)
    let pages = try Pages(site.folder.path + "/bmc")
    func serve(_ path: String, _ json: String) throws {
      let file = "\(pages.folder)/redfish/v1/\(path)"
      try FileManager.default.createDirectory(
        atPath: (file as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
      try json.write(toFile: file, atomically: true, encoding: .utf8)
    }
    func link(_ path: String) -> String { "{\"@odata.id\": \"/redfish/v1/\(path)\"}" }
    try serve("index.html", "{\"Chassis\": \(link("chassis.json"))}")
    try serve("chassis.json", "{\"Members\": [\(link("self.json"))]}")
    try serve("self.json", "{\"Id\": \"Self\", \"EnvironmentMetrics\": \(link("metrics.json"))}")
    // More than the GPUs can draw and less than twice that: neither their sum nor a sum of both.
    try serve("metrics.json", "{\"PowerWatts\": {\"Reading\": 7777.5}}")
    let file = "\(site.folder.path)/facility.yaml"
    try """
    state: \(site.folder.path)/facility
    interval: 1s
    sources:
      - {redfish: '\(pages.url)', node: node-1, beside_agent: true}
    """.write(toFile: file, atomically: true, encoding: .utf8)
    let agentJoins = try await run(
      "bongsu-agent",
      [
        "join", try await joinString(site.url, patterns: "node-1"), "--node", "node-1", "--state",
        "\(site.folder.path)/state",
      ])
    #expect(agentJoins.status == 0, "\(agentJoins.errors)")
    // A string for the node does not let its controller in: it cannot come in as another's node.
    let wrong = try await run(
      "bongsu-facility-agent", ["join", try await joinString(site.url, patterns: "node-1"), "--config", file])
    #expect(wrong.status == 1, "\(wrong.errors)")
    let joined = try await run(
      "bongsu-facility-agent", ["join", try await joinString(site.url, patterns: "node-1.bmc"), "--config", file])
    #expect(joined.status == 0, "\(joined.errors)")
    let agent = try site.agent(
      ["--source", "simulated:gpus=8,model=H100,seed=1"] + site.keeping, isWitnessed: false)
    let estimated = "bongsu_power_estimated_watts:sum"
    let isEstimated = try await eventually(within: 120) { number("nation:\(estimated)", site.url) ?? 0 > 0 }
    #expect(isEstimated, "\(agent.errors)")
    let facility = try RunningProgram("bongsu-facility-agent", ["--config", file])
    let levels = ["rack", "hall", "factory", "nation", "allocation"]
    let isMeasured = try await eventually(within: 120) {
      levels.allSatisfy { level in
        number("sum(\(level):bongsu_power_total_watts:sum)", site.url) == 7777.5
          && number("sum(\(level):bongsu_power_measured_watts:sum)", site.url) == 7777.5
      }
    }
    let seen = levels.map { number("sum(\($0):bongsu_power_total_watts:sum)", site.url) }
    #expect(isMeasured, "\(seen)\n\(facility.errors)\n\(site.aggregator?.errors ?? "")")
    #expect(number("sum(nation:bongsu_gpus:reporting)", site.url) ?? 8 == 8)
    // Its own series tells where the figure comes from, and stands in no rack.
    #expect(value(of: "bongsu_node_power_watts{node=\"node-1.bmc\",rack=\"\"}", site.url) == "7777.5")
    // Without the controller's readings the estimate returns.
    facility.terminate()
    #expect(try await facility.ended(within: 60)?.status == 0)
    let isBack = try await eventually(within: 120) { number("nation:\(estimated)", site.url) ?? 0 > 0 }
    #expect(isBack)
    agent.terminate()
    #expect(try await agent.ended(within: 60)?.status == 0)
    try await site.stopAggregator()
    withExtendedLifetime(pages) {}
  }

  private func number(_ query: String, _ url: String) -> Double? { value(of: query, url).flatMap(Double.init) }

  /// Whether it is the sum of the page's GPUs, less what adding in another order changes.
  private func isRecorded(_ watts: String?) -> Bool { abs((watts.flatMap(Double.init) ?? 0) - 583.767) < 1e-6 }

  private func joinString(_ url: String, patterns: String) async throws -> String {
    var text: String?
    _ = try await eventually(within: 120) {
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
  /// Its standard input. Closed, it ends: also when the tests are killed and nobody is left to do it.
  private let life = Pipe()
  private static let server = """
    import functools, http.server, sys, threading
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[2])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    """

  init(_ folder: String) throws {
    self.folder = folder
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let port = freePort()
    url = "http://127.0.0.1:\(port)"
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["python3", "-c", Self.server, "\(port)", folder]
    process.standardInput = life
    process.standardError = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    try process.run()
  }

  deinit {
    try? life.fileHandleForWriting.close()
    if process.isRunning { process.terminate() }
  }
}
