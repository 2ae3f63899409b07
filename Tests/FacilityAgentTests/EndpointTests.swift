import BongsuDelivery
import BongsuModel
import BongsuProcess
import Foundation
import Testing

@testable import bongsu_facility_agent

/// Endpoints over real HTTP, against a server that answers as its makers' do.
@Suite("endpoints")
struct EndpointTests {
  /// Polls every endpoint of `yaml` once, with `URL` for the server's address.
  private func poll(_ server: MockServer, _ yaml: String) async throws -> (FacilityConfiguration, ReadingBoard) {
    try await server.serve { url in
      let text = yaml.replacingOccurrences(of: "URL", with: url)
      let configuration = try FacilityConfiguration(yaml: text, path: "f.yaml")
      let board = ReadingBoard(endpoints: configuration.endpoints.count)
      let clients = try EndpointClients(configuration)
      for owned in clients.pollers(configuration, board: board, log: AgentLog(level: .error)) {
        await owned.poller.pollOnce()
      }
      await clients.shutDown()
      return (configuration, board)
    }
  }

  private func reading(_ board: ReadingBoard, _ node: String, _ endpoint: Int = 0) -> FacilityReading? {
    board.reading(of: NodeID(node)!, from: endpoint, notBefore: .min)
  }

  private func link(_ path: String) -> String { "{\"@odata.id\": \"\(path)\"}" }

  /// A service with chassis as given: id and further members.
  private func redfish(_ server: MockServer, _ chassis: [(id: String, members: String)]) {
    server.set(
      "/redfish/v1/", "{\"Chassis\": \(link("/redfish/v1/Chassis")), \"Systems\": \(link("/redfish/v1/Systems"))}")
    let members = chassis.map { link("/redfish/v1/Chassis/\($0.id)") }.joined(separator: ",")
    server.set("/redfish/v1/Chassis", "{\"Members\": [\(members)]}")
    for one in chassis {
      server.set(
        "/redfish/v1/Chassis/\(one.id)", "{\"Id\": \"\(one.id)\", \"ChassisType\": \"RackMount\", \(one.members)}")
    }
  }

  @Test("a machine's EnvironmentMetrics give its power; GPUs come with energy, limit and temperature when asked for")
  func environmentMetrics() async throws {
    let server = MockServer()
    redfish(
      server,
      [
        ("Chassis_0", "\"EnvironmentMetrics\": \(link("/redfish/v1/Chassis/Chassis_0/EnvironmentMetrics"))"),
        (
          "HGX_Board",
          "\"Links\": {\"ContainedBy\": \(link("/redfish/v1/Chassis/Chassis_0"))}, "
            + "\"EnvironmentMetrics\": \(link("/redfish/v1/Chassis/HGX_Board/EnvironmentMetrics"))"
        ),
      ])
    server.set("/redfish/v1/Chassis/Chassis_0/EnvironmentMetrics", "{\"PowerWatts\": {\"Reading\": 8412.5}}")
    server.set("/redfish/v1/Chassis/HGX_Board/EnvironmentMetrics", "{\"PowerWatts\": {\"Reading\": 5000}}")
    server.set("/redfish/v1/Systems", "{\"Members\": [\(link("/redfish/v1/Systems/HGX"))]}")
    server.set("/redfish/v1/Systems/HGX", "{\"Processors\": \(link("/redfish/v1/Systems/HGX/Processors"))}")
    server.set(
      "/redfish/v1/Systems/HGX/Processors",
      "{\"Members\": [\(link("/redfish/v1/Systems/HGX/Processors/CPU_0")), \(link("/redfish/v1/Systems/HGX/Processors/GPU_1"))]}"
    )
    server.set("/redfish/v1/Systems/HGX/Processors/CPU_0", "{\"ProcessorType\": \"CPU\"}")
    let gpu = "/redfish/v1/Systems/HGX/Processors/GPU_1"
    server.set(
      gpu,
      "{\"Id\": \"GPU_1\", \"ProcessorType\": \"GPU\", \"UUID\": \"ABCD-1\", \"Model\": \"B200\", "
        + "\"EnvironmentMetrics\": \(link(gpu + "/EnvironmentMetrics"))}")
    server.set(
      gpu + "/EnvironmentMetrics",
      "{\"PowerWatts\": {\"Reading\": 612.25}, \"PowerLimitWatts\": {\"Reading\": 999, \"SetPoint\": 1000}, "
        + "\"EnergyJoules\": {\"Reading\": 12345.5}, \"TemperatureCelsius\": {\"Reading\": 47.5}}")
    let (_, board) = try await poll(server, "sources:\n  - {redfish: URL, node: r1, gpus: true}")
    let machine = try #require(reading(board, "r1"))
    #expect(machine.node == [.nodePower: 8_412_500])
    #expect(
      machine.gpus["GPU-abcd-1"]?.values == [
        .gpuPower: 612_250, .gpuPowerLimit: 1_000_000, .gpuEnergy: 12_345_500, .gpuTemperature: 475,
      ])
  }

  @Test("where DGX puts the draw into the limit's reading it is found there, and the limit in its set point")
  func dgx() async throws {
    let server = MockServer()
    redfish(server, [("DGX", "\"EnvironmentMetrics\": \(link("/redfish/v1/Chassis/DGX/EnvironmentMetrics"))")])
    server.set(
      "/redfish/v1/Chassis/DGX/EnvironmentMetrics", "{\"PowerLimitWatts\": {\"Reading\": 7012, \"SetPoint\": 14300}}")
    let (_, board) = try await poll(server, "sources:\n  - {redfish: URL, node: r1}")
    #expect(reading(board, "r1")?.node == [.nodePower: 7_012_000])
  }

  @Test(
    "a power shelf is the sum of what its supplies take in; one without a figure makes it unknown",
    arguments: [true, false])
  func shelf(isComplete: Bool) async throws {
    let server = MockServer()
    redfish(server, [("Shelf", "\"PowerSubsystem\": \(link("/redfish/v1/Chassis/Shelf/PowerSubsystem"))")])
    let base = "/redfish/v1/Chassis/Shelf/PowerSubsystem"
    server.set(base, "{\"CapacityWatts\": 33000, \"PowerSupplies\": \(link(base + "/PowerSupplies"))}")
    let members = (0..<3).map { link("\(base)/PowerSupplies/\($0)") }.joined(separator: ",")
    server.set(base + "/PowerSupplies", "{\"Members\": [\(members)]}")
    for number in 0..<3 {
      let supply = "\(base)/PowerSupplies/\(number)"
      let state = number == 2 ? "Absent" : "Enabled"
      server.set(supply, "{\"Status\": {\"State\": \"\(state)\"}, \"Metrics\": \(link(supply + "/Metrics"))}")
      let body = number == 1 && !isComplete ? "{}" : "{\"InputPowerWatts\": {\"Reading\": \(2000 + number)}}"
      server.set(supply + "/Metrics", body)
    }
    let (_, board) = try await poll(server, "sources:\n  - {redfish: URL, node: shelf-1}")
    #expect(reading(board, "shelf-1")?.node[.nodePower] == (isComplete ? 4_001_000 : nil))
    #expect(!server.requests.contains("\(base)/PowerSupplies/2/Metrics"))
  }

  @Test("the older Power resource is read: the first power control, else the supplies' inputs")
  func olderPower() async throws {
    for (body, expected) in [
      ("{\"PowerControl\": [{\"PowerConsumedWatts\": 4321}, {\"PowerConsumedWatts\": 300}]}", Int64(4_321_000)),
      (
        "{\"PowerSupplies\": [{\"PowerInputWatts\": 100.5}, {\"Status\": {\"State\": \"Absent\"}}, {\"PowerInputWatts\": 200}]}",
        300_500
      ),
    ] {
      let server = MockServer()
      redfish(server, [("Self", "\"Power\": \(link("/redfish/v1/Chassis/Self/Power"))")])
      server.set("/redfish/v1/Chassis/Self/Power", body)
      let (_, board) = try await poll(server, "sources:\n  - {redfish: URL, node: r1}")
      #expect(reading(board, "r1")?.node == [.nodePower: expected])
    }
  }

  @Test("several chassis with a power are not guessed about; the named one is taken")
  func several() async throws {
    let server = MockServer()
    redfish(
      server,
      ["A", "B"].map { ($0, "\"EnvironmentMetrics\": \(link("/redfish/v1/Chassis/\($0)/EnvironmentMetrics"))") })
    server.set("/redfish/v1/Chassis/A/EnvironmentMetrics", "{\"PowerWatts\": {\"Reading\": 1}}")
    server.set("/redfish/v1/Chassis/B/EnvironmentMetrics", "{\"PowerWatts\": {\"Reading\": 2}}")
    let (_, board) = try await poll(server, "sources:\n  - {redfish: URL, node: r1}")
    #expect(reading(board, "r1") == nil)
    #expect(board.failure(of: 0)?.contains("several chassis give a power (A, B); name one with chassis:") == true)
    let (_, named) = try await poll(server, "sources:\n  - {redfish: URL, node: r1, chassis: B}")
    #expect(reading(named, "r1")?.node == [.nodePower: 2000])
  }

  @Test("beside a node's agent a controller has a name of its own")
  func besideAgent() async throws {
    let server = MockServer()
    redfish(server, [("A", "\"EnvironmentMetrics\": \(link("/redfish/v1/Chassis/A/EnvironmentMetrics"))")])
    server.set("/redfish/v1/Chassis/A/EnvironmentMetrics", "{\"PowerWatts\": {\"Reading\": 812}}")
    let (configuration, board) = try await poll(server, "sources:\n  - {redfish: URL, node: r1, beside_agent: true}")
    #expect(configuration.nodes.map(\.name) == ["r1.bmc"])
    #expect(reading(board, "r1.bmc")?.node == [.nodePower: 812_000] && reading(board, "r1") == nil)
  }

  @Test("what is no number, or less than nothing, is absent", arguments: ["true", "\"12\"", "null", "-1", "{}", "[1]"])
  func noNumber(value: String) async throws {
    let environment = try JSONDecoder().decode(
      JSONValue.self, from: Data("{\"PowerWatts\": {\"Reading\": \(value)}}".utf8))
    #expect(RedfishReading.milliwatts(environment: environment) == nil)
  }

  @Test("a meter's figure is scaled to watts; ambiguous, missing and refused ones cost no other")
  func prometheus() async throws {
    let server = MockServer()
    server.set(
      "/metrics", "power_kw{feeder=\"A\"} 1234.5\npower_kw{feeder=\"B\"} 7\npower_kw{feeder=\"B\",phase=\"1\"} 8\n")
    server.set(
      "/api/v1/query",
      "{\"status\": \"success\", \"data\": {\"resultType\": \"vector\", \"result\": [{\"metric\": {}, \"value\": [1, \"555\"]}]}}"
    )
    let yaml = """
      sources:
        - prometheus: URL/metrics
          series:
            - {node: meter-a, series: power_kw, labels: {feeder: A}, factor: 1000}
            - {node: meter-b, series: power_kw, labels: {feeder: B}, factor: 1000}
            - {node: meter-c, series: nothing}
        - prometheus: URL
          series:
            - {node: meter-d, query: 'sum(x{a="b c"})'}
      """
    let (_, board) = try await poll(server, yaml)
    #expect(reading(board, "meter-a")?.node == [.nodePower: 1_234_500_000])
    #expect(reading(board, "meter-b") == nil && reading(board, "meter-c") == nil)
    #expect(reading(board, "meter-d", 1)?.node == [.nodePower: 555_000])
    #expect(server.requests.contains("/api/v1/query?query=sum%28x%7Ba%3D%22b%20c%22%7D%29"))
  }

  @Test("a slow endpoint, a forbidden one and one of another kind never touch the others")
  func failures() async throws {
    let server = MockServer()
    let page = "DCGM_FI_DEV_POWER_USAGE{gpu=\"0\",UUID=\"GPU-1\",Hostname=\"r1\"} 300\n"
    server.set("/good", page)
    server.set("/slow", MockServer.Answer(body: page, delay: .seconds(20)))
    server.set("/forbidden", MockServer.Answer(status: 401))
    server.set("/html", "<html>hello</html>")
    let yaml = """
      timeout: 500ms
      sources:
        - {dcgm: URL/slow, node: r3}
        - {dcgm: URL/forbidden, node: r4}
        - {dcgm: URL/html, node: r5}
        - {dcgm: 'http://127.0.0.1:1/metrics', node: r6}
        - {dcgm: URL/good, nodes_by_hostname: 'r[1-2]'}
      """
    let (_, board) = try await poll(server, yaml)
    #expect(
      board.failure(of: 0)?.contains("does not answer within 0.5 seconds") == true, "\(board.failure(of: 0) ?? "")")
    #expect(board.failure(of: 1)?.contains("answers 401; give username and password_file") == true)
    #expect(board.failure(of: 2)?.contains("answers with no page of metrics") == true)
    #expect(board.failure(of: 3)?.contains("cannot read http://127.0.0.1:1/metrics") == true)
    #expect(reading(board, "r1", 4)?.gpus["GPU-1"]?.values == [.gpuPower: 300_000])
    #expect(board.summary == (1, 5))
  }
}

@Suite("the facility agent's file")
struct FacilityConfigurationTests {
  @Test("the shipped file can be used and names every kind of source")
  func shipped() throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "ops/config/facility-agent.yaml").path
    let configuration = try FacilityConfiguration(file: file)
    #expect(configuration.endpoints.count == 5)
    #expect(configuration.nodes.count == 1 + 119 * 4 + 1 + 2)
    let text = try String(contentsOfFile: file, encoding: .utf8)
    for key in ["state", "aggregator", "interval", "spool", "spool_bytes", "timeout", "log_level"] {
      #expect(text.contains("\n#\(key): "), "\(key)")
    }
  }

  @Test(
    "what is wrong is named with its line",
    arguments: [
      ("", "f.yaml:1: there is nothing to read: sources is empty"),
      ("sources: []\nintervall: 1s", "f.yaml:2: the file has an unknown key 'intervall'"),
      ("interval: 3\nsources: []", "f.yaml:1: interval is '3'"),
      ("sources:\n  - dcgm: r1:9400\n    node: r1", "f.yaml:2: dcgm is 'r1:9400', expected an address"),
      (
        "sources:\n  - dcgm: http://a\n",
        "f.yaml:2: it has to say whose readings these are: node: NAME or nodes_by_hostname"
      ),
      ("sources:\n  - redfish: http://a\n    node: 'a b'", "f.yaml:3: node is 'a b'"),
      (
        "sources:\n  - {dcgm: http://a, node: r1}\n  - {dcgm: http://a, node: r2}",
        "f.yaml:3: dcgm:http://a is there twice"
      ),
      ("sources:\n  - {prometheus: http://a}", "f.yaml:2: a prometheus source needs series"),
      (
        "sources:\n  - prometheus: http://a\n    series:\n      - {node: m, series: x, metric: bongsu_gpu_power_watts}",
        "f.yaml:4: metric is 'bongsu_gpu_power_watts', expected one of a node"
      ),
      (
        "sources:\n  - {redfish: http://a, node: r1, beside_agent: true, gpus: true}",
        "f.yaml:2: gpus and beside_agent do not go together"
      ),
      (
        "sources:\n  - {redfish: http://a, beside_agent: true, node: \(String(repeating: "n", count: 60))}",
        "f.yaml:2: node is 'nnn"
      ),
      (
        "sources:\n  - {redfish: http://a, node: r1, username: u}",
        "f.yaml:2: username and password_file belong together"
      ),
      ("a: [", "f.yaml: this is no YAML"),
    ])
  func wrong(yaml: String, problem: String) {
    let error = #expect(throws: SettingsError.self) { try FacilityConfiguration(yaml: yaml, path: "f.yaml") }
    #expect(error?.problems.contains { $0.hasPrefix(problem) } == true, "\(error?.description ?? "")")
  }

  @Test("an old name of a key is understood with a warning, wherever it stands; beside the new one it is a problem")
  func formerKeys() throws {
    let former = ["node": ["host"], "interval": ["period", "every"], "series": ["metrics"]]
    func read(_ yaml: String) throws -> FacilityConfiguration {
      try FacilityConfiguration(yaml: yaml, path: "f.yaml", formerKeys: former)
    }
    let old = try read(
      "every: 2s\nsources:\n  - prometheus: http://a\n    metrics:\n      - {host: m, query: up}\n  - {dcgm: http://b, host: r1}"
    )
    #expect(old.interval.milliseconds == 2000 && old.nodes.map(\.name) == ["m", "r1"])
    #expect(
      old.warnings == [
        "f.yaml:1: 'every' is called 'interval' now; the old name is still understood",
        "f.yaml:4: 'metrics' is called 'series' now; the old name is still understood",
        "f.yaml:5: 'host' is called 'node' now; the old name is still understood",
        "f.yaml:6: 'host' is called 'node' now; the old name is still understood",
      ])
    #expect(try read("sources:\n  - {dcgm: http://b, node: r1}").warnings.isEmpty)
    let both = #expect(throws: SettingsError.self) {
      try read("every: 2s\ninterval: 1s\nsources:\n  - {dcgm: http://b, node: r1}")
    }
    #expect(both?.problems == ["f.yaml:2: 'interval' is given twice"])
  }

  @Test("the shape of rows only grows: what an endpoint does not say is absent, not gone")
  func shape() throws {
    var shape = FacilityShape()
    var reading = FacilityReading()
    reading.set(.gpuPower, 5, gpu: "GPU-B", index: 1, model: "m")
    reading.set(.gpuPower, 4, gpu: "GPU-A", index: 0, model: "m")
    #expect(shape.take(reading) && shape.values(of: reading) == [4, 5])
    var later = FacilityReading()
    later.set(.gpuTemperature, 300, gpu: "GPU-B", index: 1, model: "m")
    #expect(shape.take(later) && !shape.take(reading))
    let absent = SampleValue.absent.bits
    #expect(shape.values(of: later) == [absent, absent, absent, 300])
    #expect(shape.values(of: nil) == [absent, absent, absent, absent])
  }
}
