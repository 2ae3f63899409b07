import BongsuModel
import Foundation
import Glibc

/// A drill under way: one aggregator, some agents, a relay in front of each, and the plan.
final class Drill {
  private let options: DrillOptions
  private let plan: DrillPlan
  private let started = Date()
  private var aggregator: DrilledProcess
  private var agents: [DrilledProcess] = []
  private var relays: [Relay] = []
  /// Complaints that fail the drill whatever the account says.
  private(set) var complaints: [String] = []
  private(set) var kills = 0

  private func folder(_ agent: Int) -> String { "\(options.work)/agents/node-\(agent + 1)" }

  init(_ options: DrillOptions) throws {
    self.options = options
    plan = DrillPlan(
      seed: options.seed, seconds: options.seconds, agents: options.agents, hasNamespace: options.hasNamespace)
    let files = FileManager.default
    try files.createDirectory(atPath: options.work, withIntermediateDirectories: true)
    let fleet = "\(options.work)/fleet.yaml"
    try Self.fleet(agents: options.agents).write(toFile: fleet, atomically: true, encoding: .utf8)
    let ingest = try Relay.freePort()
    let http = try Relay.freePort()
    aggregator = DrilledProcess(
      name: "aggregator", executable: "\(options.binaries)/bongsu-aggregator",
      arguments: [
        "--fleet", fleet, "--data", "\(options.work)/data", "--listen", "127.0.0.1:\(ingest)", "--http",
        "127.0.0.1:\(http)",
        // So that kills meet rows on their way into chunks.
        "--chunk-seconds", "2",
      ], output: "\(options.work)/aggregator.log")
    for agent in 0..<options.agents {
      let relay = try Relay(to: ingest)
      relays.append(relay)
      let folder = folder(agent)
      try files.createDirectory(atPath: folder, withIntermediateDirectories: true)
      agents.append(
        DrilledProcess(
          name: "agent \(agent + 1)", executable: "\(options.binaries)/bongsu-agent",
          arguments: [
            "run", "--node", "node-\(agent + 1)", "--aggregator", "127.0.0.1:\(relay.port)", "--interval",
            options.interval, "--source", "simulated:gpus=8,model=B200,seed=\(agent + 1)", "--spool",
            "\(folder)/spool", "--drill-log", "\(folder)/drill.log",
          ], output: "\(folder)/agent.log"))
    }
    say("\(plan.killCount) kills in \(options.seconds) s among \(plan.steps.count) steps, seed \(options.seed)")
    try aggregator.start()
    let deadline = Date(timeIntervalSinceNow: 30)
    while !Relay.isListening(ingest) {
      guard aggregator.isRunning, Date() < deadline else {
        throw DrillFailure("the aggregator does not listen; see \(options.work)/aggregator.log")
      }
      usleep(50_000)
    }
    for agent in agents { try agent.start() }
  }

  /// A fleet with just these nodes.
  private static func fleet(agents: Int) -> String {
    """
    version: 1
    nation: drill
    time_zone: Asia/Seoul
    factories:
      - id: drill
        pue: 1.3
        halls:
          - id: hall
            in_service: 2026-01-01
            racks:
              - id: r1
                nodes: "node-[1-\(agents)]"
                model: B200
    allocations:
      - path: drill
        granted_gpus: \(agents * 8)
        members:
          - nodes: "node-[1-\(agents)]"
            from: 2026-01-01

    """
  }

  func say(_ text: String) {
    let elapsed = String(format: "%7.2f s", Date().timeIntervalSince(started))
    // Unbuffered, so that a drill can be watched through a pipe.
    FileHandle.standardOutput.write(Data("\(elapsed)  \(text)\n".utf8))
  }

  // MARK: The plan

  /// Does what the plan says, then puts everything in order again.
  func disturb() throws {
    let origin = Date()
    for step in plan.steps {
      while true {
        let rest = Double(step.at) / 1000 - Date().timeIntervalSince(origin)
        if rest <= 0 { break }
        usleep(UInt32(min(rest, 0.1) * 1_000_000))
        if wasInterrupted() { throw DrillFailure("interrupted") }
      }
      lookForUnexpectedEnds()
      say(step.action.description)
      try perform(step.action)
    }
    let rest = Double(options.seconds) - Date().timeIntervalSince(origin)
    if rest > 0 { usleep(UInt32(rest * 1_000_000)) }
  }

  private func lookForUnexpectedEnds() {
    for process in [aggregator] + agents {
      guard let complaint = process.unexpectedEnd, !complaints.contains(complaint) else { continue }
      complain(complaint)
    }
  }

  private func complain(_ text: String) {
    complaints.append(text)
    say("! \(text)")
  }

  private func process(_ target: DrillPlan.Target) -> DrilledProcess {
    switch target {
    case .aggregator: aggregator
    case .agent(let number): agents[number]
    }
  }

  private func perform(_ action: DrillPlan.Action) throws {
    switch action {
    case .kill(let target):
      kills += 1
      process(target).kill()
      try noteEnd(target, .kill)
    case .terminate(let target): try end(target)
    case .start(let target): try process(target).start()
    case .stall(let target): process(target).signal(SIGSTOP)
    case .resume(let target): process(target).signal(SIGCONT)
    case .partition(let agent): relays[agent].block()
    case .heal(let agent, let drops): relays[agent].pass(dropping: drops)
    case .partitionAll: setLoopback("down")
    case .healAll: setLoopback("up")
    }
  }

  private func end(_ target: DrillPlan.Target) throws {
    if !process(target).terminate(seconds: 15) {
      complain("\(target) did not end in order within 15 s of SIGTERM, or ended with a failure")
    }
    try noteEnd(target, .term)
  }

  /// Tells the account how a run of an agent ended.
  private func noteEnd(_ target: DrillPlan.Target, _ end: DrillLogFile.End) throws {
    guard case .agent(let number) = target else { return }
    let path = "\(folder(number))/drill.log"
    // Killed before it had a log: then it has sampled nothing.
    guard let file = FileHandle(forWritingAtPath: path) else { return }
    try file.seekToEnd()
    try file.write(contentsOf: Data("\nend \(end.rawValue)\n".utf8))
    try file.close()
  }

  private func setLoopback(_ state: String) {
    if runToEnd(["ip", "link", "set", "lo", state]) != 0 { complain("cannot set the loopback \(state)") }
  }

  // MARK: The end

  /// Waits until everything sampled is stored or excused, then ends all processes in order.
  func settle() throws {
    say("undisturbed from now on; waiting for the spools to drain")
    let begun = Date()
    while true {
      sleep(2)
      if wasInterrupted() { throw DrillFailure("interrupted") }
      lookForUnexpectedEnds()
      let waited = Int(Date().timeIntervalSince(begun))
      // Rows of the last seconds are on their way.
      let settled = (Int64(Date().timeIntervalSince1970) - 5) * 1000
      let outstanding = try Verification(work: options.work, withSpools: false).accounts
        .flatMap(\.outstanding).count { $0 < settled }
      if outstanding == 0 {
        say("drained after \(waited) s")
        break
      }
      guard waited < DrillLimits.settleSecondsMax else {
        complain("\(outstanding) rows are still not stored \(waited) s after the last disturbance")
        break
      }
    }
    for agent in agents.indices { try end(.agent(agent)) }
    try end(.aggregator)
  }

  /// Ends whatever still runs.
  func abandon() {
    for process in agents + [aggregator] where process.isRunning {
      process.signal(SIGCONT)
      process.kill()
    }
  }
}

struct DrillFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
