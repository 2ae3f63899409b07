import BongsuTestKit
import Foundation

/// An aggregator with the national plan and a few simulated nodes of it, as processes.
final class RunningNation {
  let url: String
  let aggregator: RunningProgram
  let fleet: RunningProgram
  private let folder: TemporaryDirectory

  /// Starts both; data is there some seconds later.
  init(nodes: Int) throws {
    folder = try TemporaryDirectory()
    let (ingest, http) = (freePort(), freePort())
    url = "http://127.0.0.1:\(http)"
    let plan = "\(repository)/ops/fleets/korea.yaml"
    aggregator = try RunningProgram(
      "bongsu-aggregator",
      [
        "--fleet", plan, "--data", "\(folder.path)/data", "--listen", "127.0.0.1:\(ingest)", "--http",
        "127.0.0.1:\(http)", "--demo-in-service",
      ])
    fleet = try RunningProgram(
      "bongsu-fleet", ["--fleet", plan, "--aggregator", "127.0.0.1:\(ingest)", "--nodes", "\(nodes)"])
  }

  /// What both said, for a failure's comment.
  var log: String { "aggregator: \(aggregator.errors)\nfleet: \(fleet.errors)" }

  /// Runs the terminal program against it.
  func bongsu(_ arguments: String...) async throws -> Ended {
    try await run("bongsu", arguments + ["--url", url])
  }
}
