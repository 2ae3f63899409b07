import BongsuTestKit
import Foundation
import Testing

/// One aggregator, agents and the command, as processes.
@Suite("from a source to the terminal")
struct DeliveryTests {
  @Test("a replayed run shows its recorded watts, to the milliwatt, beside a source whose library is missing")
  func replay() async throws {
    let folder = try TemporaryDirectory()
    let (ingest, http) = (freePort(), freePort())
    let url = "http://127.0.0.1:\(http)"
    let aggregator = try RunningProgram(
      "bongsu-aggregator",
      [
        "--fleet", "\(repository)/ops/fleets/single-node.yaml", "--data", "\(folder.path)/data", "--listen",
        "127.0.0.1:\(ingest)", "--http", "127.0.0.1:\(http)",
      ])
    let trace = "\(repository)/ops/traces/nanogpt-8gpu.csv"
    let log = "\(folder.path)/drill.log"
    let agent = try RunningProgram(
      "bongsu-agent",
      [
        "--node", "node-1", "--aggregator", "127.0.0.1:\(ingest)", "--spool", "\(folder.path)/spool", "--source",
        "nvml:/nonexistent.so", "--source", "replay:\(trace),loop,model=H100", "--drill-log", log,
      ])
    let recorded = try RecordedPower(path: trace)
    var shown: Top?
    let isShown = try await eventually(within: 120) {
      let ended = try await run("bongsu", ["top", "gpus", "--node", "node-1", "--format", "json", "--url", url])
      shown = try? JSONDecoder().decode(Top.self, from: Data(ended.output.utf8))
      return shown?.closedTick != nil && shown?.rows.count == 8 && shown?.rows.allSatisfy { $0.milliwatts > 0 } == true
    }
    try #require(isShown, "aggregator: \(aggregator.errors)\nagent: \(agent.errors)")
    let top = try #require(shown)
    let first = try #require(firstTick(log))
    let watts = Dictionary(uniqueKeysWithValues: top.rows.map { ($0.gpu, $0.milliwatts) })
    // The live rows may be up to two ticks newer than the tick that every level has closed.
    let closed = try #require(top.closedTick)
    let candidates = (0...3).map { closed + 1000 * $0 - first }.filter { $0 >= 0 }
    #expect(
      candidates.contains { position in (0..<8).allSatisfy { watts[$0] == recorded.milliwatts(gpu: $0, at: position) }
      },
      "\(watts) at \(closed - first) ms of the run")
    #expect(agent.errors.components(separatedBy: "/nonexistent.so is unavailable").count == 2, "\(agent.errors)")
    agent.terminate()
    aggregator.terminate()
    #expect(try await agent.ended(within: 15)?.status == 0)
    #expect(try await aggregator.ended(within: 15)?.status == 0)
  }

  /// The first tick that the agent took: where the recording begins.
  private func firstTick(_ log: String) -> Int64? {
    let text = try? String(contentsOfFile: log, encoding: .utf8)
    return text?.split(separator: "\n").first { $0.hasPrefix("row ") }?.split(separator: " ").dropFirst().first
      .flatMap { Int64($0) }
  }

  private struct Top: Decodable {
    struct Row: Decodable {
      let name: String
      let milliwatts: Int64
      /// Number of the GPU, the last word of its name.
      var gpu: Int { name.split(separator: " ").last.flatMap { Int($0) } ?? -1 }
      enum CodingKeys: String, CodingKey {
        case name
        case milliwatts = "power_milliwatts"
      }
    }
    let closedTick: Int64?
    let rows: [Row]
    enum CodingKeys: String, CodingKey {
      case closedTick = "closed_tick_ms"
      case rows
    }
  }
}

/// The power column of a recording, read anew here: what the product's own reader is compared with.
private struct RecordedPower {
  private var samples: [Int: [(time: Int64, milliwatts: Int64)]] = [:]
  private var origin = Int64.max

  init(path: String) throws {
    for line in try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").dropFirst() {
      let fields = line.split(separator: ",", omittingEmptySubsequences: false)
      guard let gpu = Int(fields[2]), let time = Int64(fields[3]), let watts = Decimal(string: String(fields[4])) else {
        continue
      }
      origin = min(origin, time)
      samples[gpu, default: []].append((time, NSDecimalNumber(decimal: watts * 1000).int64Value))
    }
  }

  /// The last recorded value at or before `position` milliseconds of the run.
  func milliwatts(gpu: Int, at position: Int64) -> Int64? {
    samples[gpu]?.last { $0.time - origin <= position }?.milliwatts
  }
}
