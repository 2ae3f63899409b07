import BongsuTestKit
import Foundation
import Glibc
import Testing

/// Stored rollups of a real aggregator that is killed.
@Suite("history over a restart")
struct HistoryProcessTests {
  @Test("after kill -9, rollups, the ledger and the account of storage go on from what is stored")
  func killed() async throws {
    let folder = try TemporaryDirectory()
    let (ingest, http) = (freePort(), freePort())
    let url = "http://127.0.0.1:\(http)"
    let plan = "\(repository)/ops/fleets/korea.yaml"
    func start(_ plan: String = plan) throws -> RunningProgram {
      try RunningProgram(
        "bongsu-aggregator",
        [
          "--fleet", plan, "--data", "\(folder.path)/data", "--listen", "127.0.0.1:\(ingest)", "--http",
          "127.0.0.1:\(http)", "--demo-in-service",
        ])
    }
    let killed = try start()
    let fleet = try RunningProgram(
      "bongsu-fleet", ["--fleet", plan, "--aggregator", "127.0.0.1:\(ingest)", "--nodes", "30"])
    // A minute is stored some seconds after it is over.
    let isStored = try await eventually(within: 240) {
      Self.parts(url).contains { $0["name"] as? String == "1s" && ($0["bytes"] as? Int ?? 0) > 0 }
    }
    try #require(isStored, "aggregator: \(killed.errors)\nfleet: \(fleet.errors)")
    // What is asked for lies in the minute that is stored.
    let ledger = Self.ledger(url)
    let energy = ledger.reduce(0) { $0 + ($1["energy_joules"] as? Double ?? 0) }
    #expect(energy > 0)
    #expect(ledger.contains { $0["allocation"] as? String == "samsung" && $0["granted_gpu_hours"] as? Double != nil })
    let shown = try #require(Self.runningEnergy(url))
    #expect(shown.millijoules > 0)
    killed.send(SIGKILL)
    fleet.send(SIGKILL)
    _ = try await killed.ended(within: 60)
    _ = try await fleet.ended(within: 60)

    // Nobody sends any more: all that is told is of history, and of what was on disk.
    let again = try start()
    let isReady = try await eventually(within: 120) { shellOutput("curl -sf '\(url)/-/ready'") != nil }
    try #require(isReady, "\(again.errors)")
    let now = Int(Date().timeIntervalSince1970)
    let answer = Self.json(
      "\(url)/api/v1/query_range?query=nation:bongsu_gpu_power_watts:sum&start=\(now - 600)&end=\(now)&step=60")
    let data = answer["data"] as? [String: Any]
    let series = data?["result"] as? [[String: Any]]
    let values = (series?.first?["values"] as? [[Any]] ?? []).compactMap { ($0.last as? String).flatMap(Double.init) }
    #expect(values.contains { $0 > 0 }, "\(answer)")
    let infos = answer["infos"] as? [String] ?? []
    #expect(infos.contains { $0.hasPrefix("nation rollups are read from windows of") }, "\(infos)")
    let after = Self.ledger(url).reduce(0) { $0 + ($1["energy_joules"] as? Double ?? 0) }
    #expect(after >= energy)
    var running = Self.runningEnergy(url)
    #expect(
      try await eventually(within: 120) {
        running = Self.runningEnergy(url)
        return running != nil
      }, "\(again.errors)")
    #expect(running.map { $0.millijoules >= shown.millijoules && $0.since == shown.since } ?? false)
    again.terminate()
    #expect(try await again.ended(within: 60)?.status == 0)
    try await restate(folder.path, plan, url, start)
  }

  /// A holder gets another name in the fleet file: what it had stays under the old one until the past is restated.
  private func restate(
    _ folder: String, _ plan: String, _ url: String, _ start: (String) throws -> RunningProgram
  ) async throws {
    func joules(_ allocation: String) -> Double {
      Self.ledger(url).filter { $0["allocation"] as? String == allocation }
        .reduce(0) { $0 + ($1["energy_joules"] as? Double ?? 0) }
    }
    let changed = "\(folder)/changed.yaml"
    let text = try String(contentsOfFile: plan, encoding: .utf8)
    try text.replacing("  - path: samsung\n", with: "  - path: renamed\n")
      .write(toFile: changed, atomically: true, encoding: .utf8)
    let aggregator = try start(changed)
    // The minutes of before the stop are formed first, by the file that is there by then.
    let isFormed = try await eventually(within: 240) {
      Self.json("\(url)/api/bongsu/v1/storage")["minutes_waiting"] as? Int == 0 && joules("samsung") > 0
    }
    try #require(isFormed, "\(aggregator.errors)")
    let before = joules("samsung")
    let renamed = joules("renamed")
    let command = try RunningProgram("bongsu", ["fleet", "restate", "--from", "2020-01-01", "--url", url])
    let ended = try #require(try await command.ended(within: 60))
    #expect(ended.status == 0 && ended.output.contains("minutes since 2020-01-01T00:00:00+09:00 are formed anew"))
    #expect(aggregator.errors.contains("stored rollups are formed anew by the present fleet file"))
    let isRestated = try await eventually(within: 120) {
      joules("samsung") == 0 && joules("renamed") >= 0.99 * (before + renamed)
    }
    #expect(
      isRestated, "\(joules("samsung")) J and \(joules("renamed")) J of \(before) and \(renamed), \(aggregator.errors)")
    for (from, reason) in [
      ("2020-01-01", "nothing is to be restated"), ("2050-01-01", "is yet to come"), ("soon", "from is"),
    ] {
      let command = try RunningProgram("bongsu", ["fleet", "restate", "--from", from, "--url", url])
      let ended = try #require(try await command.ended(within: 60))
      #expect(ended.status == 1 && ended.errors.contains(reason), "\(ended.errors)")
    }
    aggregator.terminate()
    #expect(try await aggregator.ended(within: 60)?.status == 0)
  }

  /// The nation's total of energy, and since when it counts.
  private static func runningEnergy(_ url: String) -> (millijoules: Int, since: Int)? {
    let top = json("\(url)/api/bongsu/v1/top/nation")
    guard let row = (top["rows"] as? [[String: Any]])?.first, let joules = row["energy_millijoules"] as? Int,
      let since = top["energy_since_ms"] as? Int
    else { return nil }
    return (joules, since)
  }

  private static func parts(_ url: String) -> [[String: Any]] {
    json("\(url)/api/bongsu/v1/storage")["parts"] as? [[String: Any]] ?? []
  }

  private static func ledger(_ url: String) -> [[String: Any]] {
    (json("\(url)/api/bongsu/v1/ledger")["entries"] as? [[String: Any]] ?? []).filter { $0["depth"] as? Int == 1 }
  }

  private static func json(_ url: String) -> [String: Any] {
    let text = shellOutput("curl -s '\(url)'") ?? ""
    return (try? JSONSerialization.jsonObject(with: Data(text.utf8))) as? [String: Any] ?? [:]
  }
}
