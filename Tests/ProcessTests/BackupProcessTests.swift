import BongsuTestKit
import Foundation
import Testing

/// `bongsu backup` and `restore` with real programs.
@Suite("backup of a running aggregator")
struct BackupProcessTests {
  @Test("a running aggregator's backup is restored, verified and started, and answers what it answered before")
  func roundTrip() async throws {
    let folder = try TemporaryDirectory()
    let plan = "\(repository)/ops/fleets/korea.yaml"
    func start(_ data: String, _ ingest: UInt16, _ http: UInt16) throws -> RunningProgram {
      try RunningProgram(
        "bongsu-aggregator",
        [
          "--fleet", plan, "--data", data, "--listen", "127.0.0.1:\(ingest)", "--http", "127.0.0.1:\(http)",
          "--demo-in-service", "--chunk-seconds", "5",
        ])
    }
    let (ingest, http) = (freePort(), freePort())
    let url = "http://127.0.0.1:\(http)"
    let running = try start("\(folder.path)/data", ingest, http)
    let fleet = try RunningProgram(
      "bongsu-fleet", ["--fleet", plan, "--aggregator", "127.0.0.1:\(ingest)", "--nodes", "12"])
    func export(_ url: String, _ end: Int) async throws -> [String] {
      let ended = try await run(
        "bongsu",
        [
          "export", "--match", "bongsu_gpu_power_watts", "--start", "0", "--end", "\(end)", "--format", "csv", "--url",
          url,
        ], within: 120)
      return ended.status == 0 ? ended.output.split(whereSeparator: \.isNewline).map(String.init) : []
    }
    // Some rows are in chunks by then.
    let raw = "\(folder.path)/data/raw"
    let isPacked = try await eventually(within: 240) {
      ((try? FileManager.default.contentsOfDirectory(atPath: raw)) ?? []).contains { $0.hasSuffix(".sqlite") }
    }
    try #require(isPacked, "aggregator: \(running.errors)\nfleet: \(fleet.errors)")
    var end = 0
    var before: Set<String> = []
    let isStored = try await eventually(within: 120) {
      end = Int(Date().timeIntervalSince1970) - 2
      before = Set(try await export(url, end))
      return before.count > 100
    }
    try #require(isStored, "\(before.count) lines; \(running.errors)")
    let file = "\(folder.path)/all.backup"
    let backup = try await run("bongsu", ["backup", file, "--url", url], within: 240)
    #expect(backup.status == 0 && backup.output.contains("every checksum holds"), "\(backup.output)\(backup.errors)")
    let second = try await run("bongsu", ["backup", file, "--url", url])
    #expect(second.status == 1 && second.errors.contains("exists already"), "\(second.errors)")
    let after = Set(try await export(url, end))
    running.send(SIGKILL)
    fleet.send(SIGKILL)
    _ = try await running.ended(within: 60)
    _ = try await fleet.ended(within: 60)

    let restored = "\(folder.path)/restored"
    let restore = try await run("bongsu", ["restore", file, "--data", restored], within: 120)
    #expect(restore.status == 0, "\(restore.output)\(restore.errors)")
    let twice = try await run("bongsu", ["restore", file, "--data", restored])
    #expect(twice.status == 1 && twice.errors.contains("is not empty"), "\(twice.errors)")
    let doctor = try await run("bongsu", ["doctor", "--data", restored, "--verify"], within: 120)
    #expect(doctor.status == 0, "\(doctor.output)\(doctor.errors)")

    let other = "http://127.0.0.1:\(freePort())"
    let again = try start(restored, freePort(), UInt16(other.split(separator: ":")[2]) ?? 0)
    let isReady = try await eventually(within: 120) { shellOutput("curl -sf '\(other)/-/ready'") != nil }
    try #require(isReady, "\(again.errors)")
    // Rows of that time may still have come while it was copied.
    let got = Set(try await export(other, end))
    #expect(before.isSubset(of: got), "\(before.subtracting(got).count) lines are missing")
    #expect(got.isSubset(of: after), "\(got.subtracting(after).count) lines were never there")
    #expect(!again.errors.contains("damaged"), "\(again.errors)")
    again.terminate()
    #expect(try await again.ended(within: 60)?.status == 0)
  }
}
