import BongsuTestKit
import Foundation
import Testing

/// The agent as its users start it.
@Suite("the agent's process")
struct AgentProcessTests {
  @Test("without an aggregator it keeps running, says so once, and ends in order when asked to")
  func noAggregator() async throws {
    let folder = try TemporaryDirectory()
    let agent = try RunningProgram(
      "bongsu-agent",
      [
        "--node", "node-1", "--aggregator", "127.0.0.1:\(freePort())", "--source", "simulated:gpus=2", "--spool",
        "\(folder.path)/spool",
      ])
    // Long enough for several attempts: an answer is waited for 10 s, then the next one follows within seconds.
    #expect(try await eventually(within: 120) { agent.errors.contains("no answer from") })
    try await Task.sleep(for: .seconds(16))
    #expect(agent.isRunning)
    #expect(agent.errors.components(separatedBy: "no answer from").count == 2, "\(agent.errors)")
    agent.terminate()
    let ended = try #require(try await agent.ended(within: 10))
    #expect(ended.status == 0, "\(ended.errors)")
  }

  @Test("a sample shows eight GPUs, as a table and as JSON")
  func sampleOfNVML() async throws {
    let library = try FakeNVML(.h100)
    let table = try await run("bongsu-agent", ["sample", "--source", "nvml:\(library.path)"])
    #expect(table.status == 0 && table.errors.isEmpty, "\(table.errors)")
    #expect(table.output.contains("8 GPUs"))
    let heads = try #require(table.output.split(separator: "\n").first { $0.hasPrefix("gpu ") })
    #expect(heads.split(separator: " ") == ["gpu", "0", "1", "2", "3", "4", "5", "6", "7"])
    let json = try await run("bongsu-agent", ["sample", "--source", "nvml:\(library.path)", "--format", "json"])
    let devices = try JSONDecoder().decode(Sample.self, from: Data(json.output.utf8)).devices
    let gpus = devices.filter { $0.scope == "gpu" }
    #expect(gpus.count == 8 && Set(gpus.map(\.key)).count == 8)
    for gpu in gpus { #expect(try #require(gpu.metrics["bongsu_gpu_power_watts"] ?? nil) > 0) }
  }

  @Test("a library that is missing takes one line, and the other sources are shown")
  func sampleWithoutLibrary() async throws {
    let ended = try await run(
      "bongsu-agent", ["sample", "--source", "nvml:/nonexistent.so", "--source", "simulated:gpus=2"])
    #expect(ended.status == 0)
    #expect(ended.output.split(separator: "\n").count { $0.contains("/nonexistent.so") } == 1)
    #expect(ended.output.contains("2 simulated B200"))
  }

  private struct Sample: Decodable {
    struct Device: Decodable {
      let scope: String
      let key: String
      let metrics: [String: Double?]
    }
    let devices: [Device]
  }
}
