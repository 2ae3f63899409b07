import Glibc

/// The sum over all threads: what was sent, acknowledged, resent, spooled, and how long acknowledgements took.
struct FleetAccount {
  private(set) var counts = LoadCounts()
  private(set) var agents = 0
  private(set) var running = 0
  private(set) var established = 0
  private(set) var rowsNumbered: UInt64 = 0
  private(set) var rowsDurable: UInt64 = 0
  private(set) var spoolBytes = 0
  private(set) var latency = AckLatency()

  init(_ snapshots: [SimulationThread.Snapshot]) {
    for snapshot in snapshots {
      agents += snapshot.agents
      running += snapshot.running
      established += snapshot.established
      rowsNumbered += snapshot.rowsNumbered
      rowsDurable += snapshot.rowsDurable
      spoolBytes += snapshot.spoolBytes
      counts.add(snapshot.counts)
      latency.add(snapshot.latency)
    }
  }

  /// Rows that wait for their acknowledgement on machines that run.
  var rowsUnacknowledged: UInt64 {
    let settled = rowsDurable + counts.rowsVanished
    return rowsNumbered - min(rowsNumbered, settled)
  }

  /// One line for people who wait.
  func progress(seconds: Int) -> String {
    var line =
      "\(seconds) s: \(established) of \(agents) connected, \(counts.rowsSampled) rows sampled, \(rowsDurable) acknowledged, "
      + "\(counts.blocksResent) blocks resent, \(spoolBytes) bytes spooled"
    if running < agents { line += ", \(agents - running) nodes gone" }
    if let median = latency.milliseconds(percentile: 50), let high = latency.milliseconds(percentile: 99) {
      line += ", acknowledged after \(median) ms (median), \(high) ms (p99)"
    }
    return line
  }

  /// The closing account as lines of name and value.
  func table(seconds: Double) -> String {
    rows(seconds: seconds).map { name, value in
      name + String(repeating: " ", count: max(1, 28 - name.count)) + (value ?? "-")
    }.joined(separator: "\n")
  }

  /// The closing account as one JSON object; what there is not is null.
  func json(nodes: Int, gpus: Int, seconds: Double) -> String {
    let fields: [(String, String?)] = [("nodes", "\(nodes)"), ("gpus", "\(gpus)")] + rows(seconds: seconds)
    let body = fields.map { name, value in
      "\"\(name.split(separator: " ").joined(separator: "_"))\": \(value ?? "null")"
    }
    return "{" + body.joined(separator: ", ") + "}"
  }

  private func rows(seconds: Double) -> [(String, String?)] {
    func text(_ value: UInt64?) -> String? { value.map { "\($0)" } }
    let processor = Self.processorMilliseconds
    let perNode = agents > 0 && seconds > 0 ? processor * 1000 / Double(agents) / seconds : 0
    return [
      ("rows sampled", "\(counts.rowsSampled)"), ("blocks sent", "\(counts.blocksSent)"),
      ("blocks resent", "\(counts.blocksResent)"), ("rows acknowledged", "\(rowsDurable)"),
      ("rows unacknowledged", "\(rowsUnacknowledged)"), ("rows spooled", "\(counts.rowsSpooled)"),
      ("rows lost", "\(counts.rowsLost)"), ("rows gone with their node", "\(counts.rowsVanished)"),
      ("blocks rejected", "\(counts.rejects)"), ("bytes sent", "\(counts.bytesSent)"),
      ("bytes received", "\(counts.bytesReceived)"), ("sessions welcomed", "\(counts.welcomes)"),
      ("sessions ended", "\(counts.disconnections)"), ("ack ms p50", text(latency.milliseconds(percentile: 50))),
      ("ack ms p90", text(latency.milliseconds(percentile: 90))),
      ("ack ms p99", text(latency.milliseconds(percentile: 99))),
      ("ack ms p99_9", text(latency.milliseconds(percentile: 99.9))), ("ack ms max", text(latency.longest)),
      ("cpu ms", "\(Int(processor))"), ("cpu us per node and s", "\(Int(perNode.rounded()))"),
    ]
  }

  /// Processor time of this process so far: what the simulation itself costs.
  private static var processorMilliseconds: Double {
    var usage = rusage()
    // SAFETY: the call fills one rusage.
    _ = unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    func milliseconds(_ time: timeval) -> Double { Double(time.tv_sec) * 1000 + Double(time.tv_usec) / 1000 }
    return milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime)
  }
}
