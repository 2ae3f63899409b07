import BongsuTestKit
import Foundation
import Testing

/// What may happen to an agent's process from outside: the disk, the clock, the aggregator, signals. Each row that was
/// sampled is accounted for.
@Suite("what an agent survives")
struct AgentSurvivalTests {
  private let source = ["--source", "simulated:gpus=2"]

  private func lines(_ program: RunningProgram, with text: String) -> Int {
    program.errors.split(separator: "\n").count { $0.contains(text) }
  }

  @Test("asked to end with unsent rows it leaves them in the spool, and the next start delivers all of them")
  func terminated() async throws {
    let site = try Site()
    let agent = try site.agent(source + site.keeping)
    #expect(try await eventually(within: 120) { DrillRows(site.log).rows.count >= 8 })
    agent.terminate()
    let ended = try #require(try await agent.ended(within: 15))
    #expect(ended.status == 0 && ended.errors.contains("what is not acknowledged goes to the spool"))
    let before = DrillRows(site.log).rows.count
    try await site.startAggregator()
    let next = try site.agent(source + site.keeping)
    #expect(try await eventually(within: 120) { DrillRows(site.log).rows.count >= before + 3 })
    next.terminate()
    #expect(try await next.ended(within: 15)?.status == 0)
    let again = try site.agent(source + site.keeping, isWitnessed: false)
    // Gap records there may be: of the time between two agents, in which nobody sampled.
    #expect(try await site.missing().isEmpty, "\(again.errors)")
  }

  @Test("killed with unsent rows it loses what was not on disk yet and no more, and a gap record says so")
  func killed() async throws {
    let site = try Site()
    let agent = try site.agent(source + site.keeping)
    // The spool takes what has waited for five seconds.
    #expect(try await eventually(within: 120) { DrillRows(site.log).rows.count >= 12 && site.spooledBytes > 300 })
    agent.send(SIGKILL)
    _ = try await agent.ended(within: 10)
    let first = DrillRows(site.log).rows
    let next = try site.agent(source + site.keeping)
    try await site.startAggregator()
    #expect(try await eventually(within: 120) { DrillRows(site.log).rows.count >= first.count + 3 })
    var unexplained: [Int64] = []
    var stored: Set<Int64> = []
    var gaps: [Site.Gap] = []
    // Gap records can be asked for once the history has taken them.
    let isWhole = try await eventually(within: 120) {
      stored = try await site.storedTicks()
      gaps = try await site.gaps()
      unexplained = first.map(\.tick).filter { tick in
        !stored.contains(tick) && !gaps.contains { ($0.first ?? .max) <= tick && tick <= ($0.last ?? .min) }
      }
      return unexplained.isEmpty
    }
    #expect(isWhole, "\(unexplained), \(gaps), \(next.errors)")
    // The next agent may sample the tick of the kill once more: which of the two rows comes second is turned down.
    let ticks = first.map(\.tick)
    let twice = gaps.filter { $0.reason == "tick_taken" }
    #expect(gaps.count { $0.reason == "agent_restart" } == 1 && gaps.count == 1 + twice.count, "\(gaps)")
    #expect(twice.allSatisfy { $0.first == ticks.last && $0.last == ticks.last }, "\(gaps), \(ticks)")
    // The newest are lost, save the one that was sampled again.
    let lost = ticks.filter { !stored.contains($0) }
    #expect([ticks, ticks.dropLast()].contains { lost.elementsEqual($0.suffix(lost.count)) }, "\(lost) of \(ticks)")
    #expect(lost.count < first.count)
  }

  @Test("an aggregator with a new key in place of the old one gets nothing, is told apart, and the old one gets it all")
  func replacedAggregator() async throws {
    let site = try Site()
    try await site.startAggregator(secure: true)
    let joined = try await run(
      "bongsu-agent", ["join", try await site.joinString(), "--node", "node-1", "--state", "\(site.folder.path)/state"])
    #expect(joined.status == 0, "\(joined.errors)")
    let agent = try site.agent(source + site.keeping)
    #expect(try await eventually(within: 120) { lines(agent, with: "connected to") == 1 })
    try await site.stopAggregator()
    try await site.startAggregator(data: "other", secure: true)
    let isSaid = try await eventually(within: 120) {
      agent.errors.contains("or it is not the aggregator that this node joined")
    }
    #expect(isSaid, "\(agent.errors)")
    #expect(agent.errors.contains("join again with bongsu-agent join"))
    try await Task.sleep(for: .seconds(6))
    #expect(lines(agent, with: "it is not the aggregator that this node joined") == 1, "\(agent.errors)")
    #expect(try await site.storedTicks().isEmpty)
    try await site.stopAggregator()
    try await site.startAggregator(secure: true)
    #expect(try await eventually(within: 120) { lines(agent, with: "connected to") == 2 }, "\(agent.errors)")
    let last = DrillRows(site.log).rows.last?.tick ?? 0
    #expect(try await site.missing(upTo: last).isEmpty)
    #expect(DrillRows(site.log).isComplete(agent))
  }

  @Test(
    "a clock that steps by an hour either way misses no tick and moves none, and the next connection says how far it is off"
  )
  func clockStep() async throws {
    let site = try Site()
    try await site.startAggregator()
    let shim = "\(site.folder.path)/shim.so"
    let offset = "\(site.folder.path)/offset"
    let compiler = "${CC:-$(command -v cc || command -v clang)}"
    let code = "\(repository)/Tests/Support/ClockShim/shim.c"
    try #require(runShell("\(compiler) -shared -fPIC -O1 -o '\(shim)' '\(code)'") == 0)
    func step(_ seconds: Int64) throws {
      // In place: the program has the file in its memory.
      let file = try FileHandle(forUpdating: URL(fileURLWithPath: offset))
      try file.write(contentsOf: Data((0..<8).map { UInt8(truncatingIfNeeded: seconds >> ($0 * 8)) }))
      try file.close()
    }
    try Data(count: 8).write(to: URL(fileURLWithPath: offset))
    let agent = try site.agent(source + site.keeping, environment: ["LD_PRELOAD": shim, "CLOCK_SHIM": offset])
    #expect(try await eventually(within: 120) { DrillRows(site.log).rows.count >= 3 })
    for (number, seconds) in [Int64(3600), -3600, 0].enumerated() {
      try step(seconds)
      // Ticks count the time since the session began, which never steps.
      let rows = DrillRows(site.log).rows.count
      #expect(try await eventually(within: 120) { DrillRows(site.log).rows.count >= rows + 3 })
      #expect(abs(unixMilliseconds() - (DrillRows(site.log).rows.last?.tick ?? 0)) < 5000)
      // A new session compares the clocks again.
      try await site.stopAggregator()
      try await site.startAggregator()
      let isBack = try await eventually(within: 120) { lines(agent, with: "info uplink: connected to") == number + 2 }
      #expect(isBack, "\(agent.errors)")
      let said = agent.errors.split(separator: "\n").last { $0.contains("info uplink: connected to") } ?? ""
      let words = said.split(separator: " ")
      let skew = words.firstIndex(of: "clock").flatMap { Int64(words[$0 + 2]) } ?? 0
      #expect(abs(skew - seconds * 1000) < 2000, "\(said)")
      #expect(abs(unixMilliseconds() - (DrillRows(site.log).rows.last?.tick ?? 0)) < 5000)
    }
    let rows = DrillRows(site.log)
    #expect(rows.isComplete(agent), "\(rows.rows.map(\.tick))")
    #expect(try await site.missing(upTo: rows.rows.last?.tick ?? 0).isEmpty)
    #expect(try await site.gaps().isEmpty)
  }

  @Test(
    "on a disk that takes nothing it starts, says so once, and delivers",
    .enabled(if: maySeparateMounts, "mounts of its own need root"))
  func readOnlyDisk() async throws {
    let site = try Site()
    let disk = "\(site.folder.path)/disk"
    try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
    let agent = try site.agent(
      source + ["--state", "\(disk)/state", "--spool", "\(disk)/spool"],
      through: ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o ro none '\(disk)' && exec \"$@\"", "sh"])
    // Longer than rows wait before they are written.
    #expect(try await eventually(within: 120) { DrillRows(site.log).rows.count >= 9 })
    #expect(agent.isRunning, "\(agent.errors)")
    #expect(lines(agent, with: "unsent samples are kept in memory alone") == 1, "\(agent.errors)")
    #expect(agent.errors.contains("Read-only file system"))
    try await site.startAggregator()
    #expect(try await eventually(within: 120) { lines(agent, with: "connected to") == 1 }, "\(agent.errors)")
    #expect(try await site.missing(upTo: DrillRows(site.log).rows.last?.tick ?? 0).isEmpty)
    agent.terminate()
    #expect(try await agent.ended(within: 15)?.status == 0)
  }

  @Test(
    "on a full disk rows wait in memory; it says so once, once more when there is room again, and loses nothing",
    .enabled(if: maySeparateMounts, "mounts of its own need root"))
  func fullDisk() async throws {
    let site = try Site()
    let disk = "\(site.folder.path)/disk"
    try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
    let agent = try site.agent(
      source + ["--state", "\(disk)/state", "--spool", "\(disk)/spool"],
      through: [
        "unshare", "-m", "sh", "-c",
        "mount -t tmpfs -o size=512k none '\(disk)' && mkdir '\(disk)/spool' && "
          + "{ head -c 2M /dev/zero >'\(disk)/filler' 2>/dev/null || true; } && exec \"$@\"", "sh",
      ])
    #expect(
      try await eventually(within: 120) { lines(agent, with: "unsent rows wait in memory") >= 1 }, "\(agent.errors)")
    let rows = DrillRows(site.log).rows.count
    #expect(try await eventually(within: 120) { DrillRows(site.log).rows.count >= rows + 4 })
    #expect(lines(agent, with: "unsent rows wait in memory") == 1, "\(agent.errors)")
    try FileManager.default.removeItem(atPath: "/proc/\(agent.processID)/root\(disk)/filler")
    #expect(try await eventually(within: 120) { lines(agent, with: "takes rows again") == 1 }, "\(agent.errors)")
    try await site.startAggregator()
    #expect(try await eventually(within: 120) { lines(agent, with: "connected to") == 1 }, "\(agent.errors)")
    #expect(try await site.missing(upTo: DrillRows(site.log).rows.last?.tick ?? 0).isEmpty, "\(agent.errors)")
    #expect(try await site.gaps().isEmpty)
  }

  @Test("while the aggregator answers, it writes nothing to disk or log and wakes up a few times a tick")
  func quiet() async throws {
    let site = try Site()
    try await site.startAggregator()
    let agent = try site.agent(source + site.keeping, isWitnessed: false)
    #expect(try await eventually(within: 120) { lines(agent, with: "connected to") == 1 })
    // Acknowledgements have come, and the pages of start-up code are let go.
    try await Task.sleep(for: .seconds(12))
    let before = try Traces(agent, site)
    try await Task.sleep(for: .seconds(15))
    let after = try Traces(agent, site)
    #expect(before.files == after.files && !after.files.isEmpty)
    #expect(after.writtenBytes == before.writtenBytes)
    #expect(after.log == before.log)
    // Sampler, uplink, libzmq's thread, the main thread: each a few times a second.
    #expect(after.wakeUps - before.wakeUps <= 15 * 30, "\(after.wakeUps - before.wakeUps) in 15 s")
    #expect(try await site.storedTicks().count >= 20)
  }

  /// What a process leaves on a machine.
  private struct Traces {
    /// Size and time of the last change of every file it keeps, by path.
    var files: [String: [Int64]] = [:]
    var writtenBytes = ""
    var log = ""
    /// How often its threads went to sleep.
    var wakeUps = 0

    init(_ agent: RunningProgram, _ site: Site) throws {
      let process = "/proc/\(agent.processID)"
      for folder in ["state", "spool"] {
        let root = "\(site.folder.path)/\(folder)"
        for name in [""] + (FileManager.default.enumerator(atPath: root)?.allObjects as? [String] ?? []) {
          var entry = stat()
          guard unsafe lstat("\(root)/\(name)", &entry) == 0 else { continue }
          files["\(folder)/\(name)"] = [
            Int64(entry.st_size), Int64(entry.st_mtim.tv_sec), Int64(entry.st_mtim.tv_nsec),
            Int64(entry.st_ctim.tv_nsec),
          ]
        }
      }
      let io = try String(contentsOfFile: "\(process)/io", encoding: .utf8)
      writtenBytes = io.split(separator: "\n").first { $0.hasPrefix("write_bytes") }.map(String.init) ?? "?"
      log = agent.errors
      for task in try FileManager.default.contentsOfDirectory(atPath: "\(process)/task") {
        let status = try String(contentsOfFile: "\(process)/task/\(task)/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("voluntary_ctxt_switches") }
        wakeUps += line.flatMap { Int($0.split(whereSeparator: \.isWhitespace).last ?? "") } ?? 0
      }
    }
  }
}
