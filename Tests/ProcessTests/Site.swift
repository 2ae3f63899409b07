import BongsuTestKit
import Foundation
import Testing

/// One aggregator and the agent of one node, as processes, with what a test asks them.
final class Site {
  let folder: TemporaryDirectory
  let ports = (ingest: freePort(), enrol: freePort(), http: freePort())
  private(set) var aggregator: RunningProgram?

  init() throws {
    folder = try TemporaryDirectory()
    try FileManager.default.createDirectory(atPath: "\(folder.path)/state", withIntermediateDirectories: true)
  }

  var url: String { "http://127.0.0.1:\(ports.http)" }
  var log: String { "\(folder.path)/drill.log" }

  /// Starts the aggregator over the data in `data`, and waits until it answers.
  func startAggregator(data: String = "data", secure: Bool = false) async throws {
    let more = secure ? ["--secure", "--enrol-listen", "127.0.0.1:\(ports.enrol)"] : []
    let started = try RunningProgram(
      "bongsu-aggregator",
      [
        "--fleet", "\(repository)/ops/fleets/single-node.yaml", "--data", "\(folder.path)/\(data)", "--listen",
        "127.0.0.1:\(ports.ingest)", "--http", "127.0.0.1:\(ports.http)",
      ] + more)
    aggregator = started
    let isReady = try await eventually(within: 120) { shellOutput("curl -sf '\(self.url)/-/ready'") != nil }
    try #require(isReady, "\(started.errors)")
  }

  /// Ends the aggregator in order.
  func stopAggregator() async throws {
    aggregator?.terminate()
    #expect(try await aggregator?.ended(within: 20)?.status == 0, "\(aggregator?.errors ?? "")")
    aggregator = nil
  }

  /// Starts the agent of node-1, which writes each row to ``log`` before it delivers it.
  func agent(
    _ more: [String], environment: [String: String] = [:], through: [String] = [], isWitnessed: Bool = true
  ) throws -> RunningProgram {
    let witness = isWitnessed ? ["--drill-log", log] : []
    return try RunningProgram(
      "bongsu-agent", ["--node", "node-1", "--aggregator", "127.0.0.1:\(ports.ingest)"] + witness + more,
      environment: environment, through: through)
  }

  /// Where the agent keeps key, control socket and spool.
  var keeping: [String] { ["--state", "\(folder.path)/state", "--spool", "\(folder.path)/spool"] }

  /// Bytes of rows in the agent's spool.
  var spooledBytes: Int {
    let folder = "\(folder.path)/spool"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter { $0.hasSuffix(".log") }.reduce(0) { sum, name in
      sum + ((try? FileManager.default.attributesOfItem(atPath: "\(folder)/\(name)")[.size] as? Int) ?? 0)
    }
  }

  /// A string with which node-1 joins.
  func joinString() async throws -> String {
    let ended = try await run("bongsu", ["join-token", "create", "--uses", "1", "--nodes", "node-1", "--url", url])
    return try #require(
      ended.output.split(whereSeparator: \.isWhitespace).first { $0.hasPrefix("bongsu1") }.map(String.init),
      "\(ended.errors)")
  }

  /// The agent's answer to `ctl status`.
  func status() async throws -> [String: Any] {
    let ended = try await run("bongsu-agent", ["ctl", "status", "--state", "\(folder.path)/state", "--format", "json"])
    return (try? JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [String: Any]) ?? [:]
  }

  /// Ticks of node-1 that the aggregator has stored.
  func storedTicks() async throws -> Set<Int64> {
    let ended = try await run(
      "bongsu",
      [
        "export", "--match", "bongsu_gpu_power_watts{node=\"node-1\",gpu=\"0\"}", "--start", "-3h", "--end", "now",
        "--format", "csv", "--url", url,
      ])
    let format = ISO8601DateFormatter()
    var ticks: Set<Int64> = []
    for line in ended.output.split(whereSeparator: \.isNewline).dropFirst() {
      guard let time = line.split(separator: ",").first.flatMap({ format.date(from: String($0)) }) else { continue }
      ticks.insert(Int64(time.timeIntervalSince1970) * 1000)
    }
    return ticks
  }

  struct Gap: Decodable {
    let reason: String
    let first: Int64?
    let last: Int64?
    enum CodingKeys: String, CodingKey {
      case reason
      case first = "first_tick_ms"
      case last = "last_tick_ms"
    }
  }

  private struct Gaps: Decodable {
    let gaps: [Gap]
  }

  /// Gap records of node-1.
  func gaps() async throws -> [Gap] {
    let ended = try await run("bongsu", ["gaps", "--node", "node-1", "--format", "json", "--url", url])
    return try JSONDecoder().decode(Gaps.self, from: Data(ended.output.utf8)).gaps
  }

  /// Waits until every tick in the log is stored.
  ///
  /// - Returns: the ticks that are not.
  func missing(within seconds: Double = 30, upTo last: Int64 = .max) async throws -> [Int64] {
    var missing: [Int64] = []
    _ = try await eventually(within: seconds) {
      let stored = try await self.storedTicks()
      missing = DrillRows(self.log).rows.map(\.tick).filter { $0 <= last && !stored.contains($0) }
      return missing.isEmpty
    }
    return missing
  }
}

/// What an agent wrote down of its rows before it delivered them.
struct DrillRows {
  struct Row {
    let tick: Int64
    /// Power of the first GPU in milliwatts, and its utilization in thousandths; `nil` where it is absent.
    let power: Int64?
    let utilization: Int64?
  }
  private(set) var rows: [Row] = []

  init(_ path: String) {
    var places: [Substring: Int] = [:]
    for line in ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").split(separator: "\n")
    where line.hasSuffix(";") {
      let words = line.split(separator: " ")
      if words[0] == "layout" {
        var position = 0
        places = [:]
        for column in words[2...].dropLast() {
          let parts = column.split(separator: "*")
          places[parts[0]] = position
          position += Int(parts[1]) ?? 0
        }
      } else if words[0] == "row", let tick = Int64(words[1]) {
        // Metric 1 is the GPUs' power, metric 6 their utilization.
        func value(_ metric: Substring) -> Int64? { places[metric].flatMap { Int64(words[3 + $0]) } }
        rows.append(Row(tick: tick, power: value("1"), utilization: value("6")))
      }
    }
  }

  /// Whether every tick from the first to the last has its row, or `agent` says that this machine left it no time for some.
  func isComplete(_ agent: RunningProgram) -> Bool {
    let steps = Set(zip(rows.dropFirst(), rows).map { $0.tick - $1.tick })
    return steps == [1000] || (steps.allSatisfy { $0 > 0 } && agent.errors.contains("ticks passed without a row"))
  }
}

/// Milliseconds since 1970.
func unixMilliseconds() -> Int64 { Int64(Date().timeIntervalSince1970 * 1000) }

/// Whether this process may make mounts of its own: what drills with broken disks need.
let maySeparateMounts = runShell("unshare -m mount -t tmpfs none /mnt 2>/dev/null") == 0
