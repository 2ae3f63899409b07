import BongsuDevices
import BongsuFleet
import BongsuModel
import BongsuSampling
import BongsuTransport
import BongsuWire
import Foundation

/// One run of the simulated nation: threads, agents, progress and the closing account.
final class FleetLoad {
  private let workers: [SimulationThread]
  private let nodeCount: Int
  private let gpuCount: Int
  private let announcements: [ScenarioPlan.Announcement]

  /// Makes the agents of `nodes`, which do what `scenario` says.
  ///
  /// - Throws: ``ScenarioUnusable`` when the scenario names what the fleet does not have.
  init(
    tree: FleetTree, nodes: [NodeIndex], interval: TickInterval, endpoint: String, keys: FleetKeys?, seed: UInt64,
    threads: Int, scenario: (Scenario, path: String), isVerbose: Bool
  ) throws {
    let now = Tick(unixMilliseconds: ClockReading.now().unixMilliseconds)
    let plan = try ScenarioPlan(
      scenario.0, path: scenario.path, tree: tree, nodes: nodes, at: now, seed: Self.mixed(seed, 1 << 50))
    let mix = try JobMix(scenario.0.mixes, path: scenario.path, tree: tree, seed: Self.mixed(seed, 1 << 51))
    let failures = scenario.0.failures
    announcements = plan.announcements
    let transport = try Context(ioThreads: 1, socketsMax: min(65_535, nodes.count + 64))
    var workers: [SimulationThread] = []
    for thread in 0..<threads {
      let plans = try stride(from: thread, to: nodes.count, by: threads).map { position in
        let node = nodes[position]
        return AgentPlan(
          node: tree[node].id, security: try keys?.security(of: tree[node].id) ?? .plain,
          generator: Self.configuration(of: node, in: tree, mix.work(of: node), seed: seed),
          course: NodeCourse(
            plan.instructions[node] ?? [],
            outages: RandomOutages(
              perHundredThousandAndMinute: failures.nodesPerHundredThousandAndMinute,
              downMilliseconds: failures.downMilliseconds, seed: Self.mixed(seed, UInt64(node.position) | 1 << 52))),
          seed: Self.mixed(seed, UInt64(node.position)))
      }
      workers.append(
        try SimulationThread(
          plans: plans, transport: transport, endpoint: endpoint, interval: interval,
          isVerbose: isVerbose))
    }
    self.workers = workers
    nodeCount = nodes.count
    gpuCount = nodes.reduce(0) { $0 + tree[$1].gpus }
  }

  /// Runs for `seconds`, or until SIGINT or SIGTERM, and prints the account.
  ///
  /// - Throws: ``FailedRun`` when rows are left unacknowledged or were lost.
  func run(seconds: Int?, graceSeconds: Int, format: ReportFormat) throws {
    let stop = StopRequest()
    say("simulating \(nodeCount) nodes with \(gpuCount) GPUs", format)
    let started = Date()
    let startedAt = ClockReading.now().boottimeMilliseconds
    let threads = workers.map { worker in
      let thread = Thread {
        do {
          try worker.run(startedAt: startedAt, graceMilliseconds: Int64(graceSeconds) * 1000)
        } catch {
          FileHandle.standardError.write(Data("bongsu-fleet: \(error)\n".utf8))
          stop.request()
        }
      }
      thread.stackSize = 4 << 20
      thread.start()
      return thread
    }
    var shownAt = 0
    var announced = 0
    while !stop.isRequested, seconds.map({ Date().timeIntervalSince(started) < Double($0) }) ?? true {
      stop.wait(milliseconds: 200)
      let elapsed = Int(Date().timeIntervalSince(started))
      while announced < announcements.count, announcements[announced].atMilliseconds <= elapsed * 1000 {
        let event = announcements[announced]
        say("\(event.atMilliseconds / 1000) s: \(event.text) (\(event.nodes) nodes)", format)
        announced += 1
      }
      if elapsed >= shownAt + 10 {
        shownAt = elapsed
        say(FleetAccount(workers.map(\.snapshot)).progress(seconds: elapsed), format)
      }
    }
    for worker in workers { worker.requestStop() }
    while threads.contains(where: { !$0.isFinished }) { usleep(20_000) }
    let account = FleetAccount(workers.map(\.snapshot))
    let ran = Date().timeIntervalSince(started)
    print(
      format == .json
        ? account.json(nodes: nodeCount, gpus: gpuCount, seconds: ran) : account.table(seconds: ran))
    if account.rowsUnacknowledged > 0 || account.counts.rowsLost > 0 {
      throw FailedRun(
        "\(account.rowsUnacknowledged) rows are not acknowledged and \(account.counts.rowsLost) lost"
          + (account.counts.lastFailure.map { "; last failure: \($0)" } ?? "")
          + "; is the aggregator up, and is --grace long enough?")
    }
  }

  /// What happens while it runs, for people: beside the account, which alone stands on standard output as JSON.
  private func say(_ line: String, _ format: ReportFormat) {
    if format == .table {
      print(line)
    } else {
      FileHandle.standardError.write(Data((line + "\n").utf8))
    }
  }

  private static func configuration(
    of node: NodeIndex, in tree: FleetTree, _ work: JobMix.Work, seed: UInt64
  ) -> SimulatedNode.Configuration {
    var configuration = SimulatedNode.Configuration(
      model: tree.model(of: node), seed: mixed(seed, UInt64(node.position) << 1 | 1), jobSeed: mixed(seed, work.job),
      workload: work.workload)
    configuration.gpuCount = tree[node].gpus
    return configuration
  }

  private static func mixed(_ seed: UInt64, _ value: UInt64) -> UInt64 {
    var stream = SeedStream(state: seed ^ (value &* 0xD6E8_FEB8_6659_FD93))
    return stream.next()
  }
}
