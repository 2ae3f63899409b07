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

  /// Makes the agents of `nodes`. Nodes of one allocation at one factory work on jobs of 16 nodes each, so that their
  /// GPUs step together as in a training run.
  init(
    tree: FleetTree, nodes: [NodeIndex], interval: TickInterval, endpoint: String, keys: FleetKeys?, seed: UInt64,
    threads: Int, isVerbose: Bool
  ) throws {
    let transport = try Context(ioThreads: 1, socketsMax: min(65_535, nodes.count + 64))
    var workers: [SimulationThread] = []
    for thread in 0..<threads {
      let plans = try stride(from: thread, to: nodes.count, by: threads).map { position in
        let node = nodes[position]
        return AgentPlan(
          node: tree[node].id, security: try keys?.security(of: tree[node].id) ?? .plain,
          generator: Self.configuration(of: node, in: tree, seed: seed),
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
    if format == .table { print("simulating \(nodeCount) nodes with \(gpuCount) GPUs") }
    let started = Date()
    let threads = workers.map { worker in
      let thread = Thread {
        do {
          try worker.run(graceMilliseconds: Int64(graceSeconds) * 1000)
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
    while !stop.isRequested, seconds.map({ Date().timeIntervalSince(started) < Double($0) }) ?? true {
      stop.wait(milliseconds: 200)
      let elapsed = Int(Date().timeIntervalSince(started))
      if format == .table, elapsed >= shownAt + 10 {
        shownAt = elapsed
        print(FleetAccount(workers.map(\.snapshot)).progress(seconds: elapsed))
      }
    }
    for worker in workers { worker.requestStop() }
    while threads.contains(where: { !$0.isFinished }) { usleep(20_000) }
    let account = FleetAccount(workers.map(\.snapshot))
    print(format == .json ? account.json(nodes: nodeCount, gpus: gpuCount) : account.table)
    if account.rowsUnacknowledged > 0 || account.counts.rowsLost > 0 {
      throw FailedRun(
        "\(account.rowsUnacknowledged) rows are not acknowledged and \(account.counts.rowsLost) lost"
          + (account.counts.lastFailure.map { "; last failure: \($0)" } ?? "")
          + "; is the aggregator up, and is --grace long enough?")
    }
  }

  private static func configuration(
    of node: NodeIndex, in tree: FleetTree, seed: UInt64
  ) -> SimulatedNode.Configuration {
    let rack = tree[node].rack
    let job = UInt64(tree.factory(of: rack).position) << 32 | UInt64(node.position / 16)
    var configuration = SimulatedNode.Configuration(
      model: tree.model(of: node), seed: mixed(seed, UInt64(node.position) << 1 | 1), jobSeed: mixed(seed, job))
    configuration.gpuCount = tree[node].gpus
    return configuration
  }

  private static func mixed(_ seed: UInt64, _ value: UInt64) -> UInt64 {
    var stream = SeedStream(state: seed ^ (value &* 0xD6E8_FEB8_6659_FD93))
    return stream.next()
  }
}

/// The sum over all threads.
struct FleetAccount {
  private(set) var counts = LoadCounts()
  private(set) var agents = 0
  private(set) var established = 0
  private(set) var rowsNumbered: UInt64 = 0
  private(set) var rowsDurable: UInt64 = 0
  private(set) var spoolBytes = 0

  init(_ snapshots: [SimulationThread.Snapshot]) {
    for snapshot in snapshots {
      agents += snapshot.agents
      established += snapshot.established
      rowsNumbered += snapshot.rowsNumbered
      rowsDurable += snapshot.rowsDurable
      spoolBytes += snapshot.spoolBytes
      counts.add(snapshot.counts)
    }
  }

  var rowsUnacknowledged: UInt64 { rowsNumbered - min(rowsNumbered, rowsDurable) }

  func progress(seconds: Int) -> String {
    "\(seconds) s: \(established) of \(agents) connected, \(counts.rowsSampled) rows sampled, "
      + "\(rowsDurable) acknowledged, \(counts.blocksResent) blocks resent, \(spoolBytes) bytes spooled"
  }

  var table: String {
    rows.map { $0.0 + String(repeating: " ", count: 22 - $0.0.count) + $0.1 }.joined(separator: "\n")
  }

  func json(nodes: Int, gpus: Int) -> String {
    let fields = [("nodes", "\(nodes)"), ("gpus", "\(gpus)")] + rows
    let body = fields.map { "\"\($0.0.replacingOccurrences(of: " ", with: "_"))\": \($0.1)" }
    return "{" + body.joined(separator: ", ") + "}"
  }

  private var rows: [(String, String)] {
    [
      ("rows sampled", "\(counts.rowsSampled)"), ("blocks sent", "\(counts.blocksSent)"),
      ("blocks resent", "\(counts.blocksResent)"), ("rows acknowledged", "\(rowsDurable)"),
      ("rows unacknowledged", "\(rowsUnacknowledged)"), ("rows spooled", "\(counts.rowsSpooled)"),
      ("rows lost", "\(counts.rowsLost)"), ("blocks rejected", "\(counts.rejects)"),
      ("bytes sent", "\(counts.bytesSent)"), ("bytes received", "\(counts.bytesReceived)"),
      ("sessions welcomed", "\(counts.welcomes)"), ("sessions ended", "\(counts.disconnections)"),
    ]
  }
}
