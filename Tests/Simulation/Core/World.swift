import BongsuModel
import BongsuTestKit
import BongsuWire

/// One simulated run: machines, network, aggregator and the model they are compared with, on one clock.
public final class World {
  let scenario: Scenario
  let mutation: Mutation?
  let ledger = Ledger()
  let network: Network
  let layouts: [RowLayout]
  var random: SeededRandom

  /// True time, milliseconds since 1970.
  var now: Int64 = 1_800_000_000_000
  var machines: [AgentMachine] = []
  var nodeIDs: [NodeID] = []
  let aggregatorDisk: SimulatedDisk
  var aggregator: AggregatorProcess?
  var aggregatorStartsAt: Int64?
  var isSamplingOver = false
  var revoked: Set<Int> = []
  var cloned: Set<Int> = []
  var cloneAlarms: Set<Int> = []
  /// Runs of each node's agents in the order in which this process of the aggregator welcomed them, and how often one came
  /// back.
  private var runs: [Int: [Incarnation]] = [:]
  private var returns: [Int: Int] = [:]
  /// Nodes of which one process of the aggregator has seen two runs take turns.
  private(set) var alternated: Set<Int> = []
  /// The highest journal record that ever was on disk for certain.
  var committedEver: UInt64 = 0
  /// Records that were torn away before they were on disk for certain; the journal shows the hole ever after.
  var tornRecords: Set<ClosedRange<UInt64>> = []
  /// Records that survived such a hole and need what was in it.
  private var strandedRecords: Set<UInt64> = []

  /// Whether a record that cannot be used belongs to a batch that was torn before it was on disk for certain.
  func isTorn(_ record: UInt64) -> Bool {
    if record > committedEver { strandedRecords.insert(record) }
    return strandedRecords.contains(record)
  }
  private(set) var violations: [String] = []
  /// What happened, for people; kept only when asked for.
  public private(set) var trace: [String] = []
  private let keepsTrace: Bool

  static let stepMilliseconds: Int64 = 50

  init(_ scenario: Scenario, mutation: Mutation?, keepsTrace: Bool) {
    self.scenario = scenario
    self.mutation = mutation
    self.keepsTrace = keepsTrace
    random = SeededRandom(seed: scenario.seed)
    network = Network(seed: random.next())
    aggregatorDisk = SimulatedDisk(seed: random.next())
    layouts = Self.layouts(scenario.intervalMilliseconds)
    for node in 0..<scenario.nodes {
      guard let id = NodeID("n\(node)") else { preconditionFailure("n\(node) is a node id") }
      nodeIDs.append(id)
      machines.append(AgentMachine(index: node, node: node, id: id, world: self, seed: random.next()))
      machines[node].startsAt = now + Int64.random(in: 0...3000, using: &random)
    }
    startAggregator()
  }

  /// Two shapes: with four GPUs and with three.
  private static func layouts(_ interval: Int) -> [RowLayout] {
    let columns = MetricCatalogue.all.filter { $0.scope == .gpu && $0.kind == .gauge }.prefix(3)
    return [4, 3].map { count in
      let devices = (0..<UInt16(count)).map { Device(scope: .gpu, index: $0, key: "GPU-\($0)", model: "simulated") }
      guard let interval = TickInterval(milliseconds: interval),
        let layout = try? RowLayout(interval: interval, columns: Array(columns), devices: devices)
      else { preconditionFailure("the simulated layout is valid") }
      return layout
    }
  }

  func fail(_ what: String) {
    note("VIOLATION \(what)")
    violations.append(what)
  }

  func note(_ what: @autoclosure () -> String) {
    if keepsTrace { trace.append("\(now - 1_800_000_000_000) \(what())") }
  }

  /// A frame in a few words, for the trace.
  static func describe(_ bytes: [UInt8]) -> String {
    // SAFETY: bytes have no padding.
    let frame = unsafe bytes.span.bytes
    guard let type = try? FrameType(of: frame) else { return "garbage" }
    var offset = 0
    switch type {
    case .block:
      guard let header = try? BlockHeader(decoding: frame, payloadOffset: &offset) else { return "block ?" }
      return
        "block \(header.firstSequence)...\(header.lastSequence) \(header.isLate ? "late" : "live") \(header.anchor)"
    case .ack:
      return (try? Ack(decoding: frame)).map { "ack \($0.durable.floor) \($0.durable.ranges.count)" } ?? "ack ?"
    case .welcome:
      return (try? Welcome(decoding: frame)).map { "welcome \($0.durable.floor) \($0.requiresNewStream)" }
        ?? "welcome ?"
    case .gap: return (try? Gap(decoding: frame)).map { "gap \($0.firstSequence)...\($0.lastSequence)" } ?? "gap ?"
    case .hello: return (try? Hello(decoding: frame)).map { "hello next \($0.nextSequence)" } ?? "hello ?"
    case .refuse, .layout, .reject, .heartbeat: return "\(type)"
    }
  }

  func connected(_ run: Incarnation, node: Int) {
    guard runs[node]?.last != run else { return }
    if runs[node]?.contains(run) == true { returns[node, default: 0] += 1 }
    if returns[node, default: 0] >= 3 { alternated.insert(node) }
    runs[node, default: []].append(run)
  }

  // MARK: Time

  /// Runs to the end: chaos, then a time without misfortune in which everything has to settle.
  func run() {
    let chaosEnd = now + scenario.chaosMilliseconds
    var nextFault = now + 3000
    while now < chaosEnd, violations.isEmpty {
      if now >= nextFault, !scenario.faults.isEmpty {
        strike()
        nextFault = now + Int64.random(in: 0...(2 * scenario.faultEveryMilliseconds), using: &random)
      }
      step()
    }
    heal()
    // Long enough for the longest back-off after a refusal, twice, and for resent gaps.
    let deadline = now + 400_000
    let samplingEnd = now + 3000
    while now < deadline, violations.isEmpty {
      if now >= samplingEnd { isSamplingOver = true }
      step()
      if isSamplingOver, now % 1000 == 0, isSettled { break }
    }
    guard violations.isEmpty else { return }
    if !isSettled { fail("not settled 400 s after the last misfortune: \(unsettledParts)") }
    restartAggregatorAndCompare()
    check()
  }

  private func step() {
    now += Self.stepMilliseconds
    for machine in machines { machine.step() }
    if let aggregator {
      aggregator.step()
      if aggregator.isDead || aggregatorDisk.hasCrashed { aggregatorFails(power: aggregatorDisk.hasCrashed) }
    } else if let at = aggregatorStartsAt, now >= at {
      startAggregator()
    }
    if now % 1000 == 0 { network.forgetDead() }
  }

  var isSettled: Bool { unsettledParts.isEmpty }

  private var unsettledParts: String {
    var parts: [String] = aggregator == nil ? ["no aggregator"] : []
    for machine in machines {
      guard let run = machine.run else {
        if !machine.isRetired { parts.append("agent \(machine.index) is not running") }
        continue
      }
      if !machine.unsettled.isEmpty || run.session.pendingRowCount > 0
        || run.session.unacknowledgedGapCount > 0
      {
        parts.append(
          "agent \(machine.index): \(machine.unsettled.count) samples unsettled, \(run.session.pendingRowCount) in memory, "
            + "\(run.session.unacknowledgedGapCount) gaps, "
            + "established \(run.session.isEstablished), floor \(run.session.durable.floor) of \(run.session.nextSequence)"
        )
      }
      if run.session.durable.floor + 1 < run.session.nextSequence, !machine.isRetired {
        parts.append(
          "agent \(machine.index): floor \(run.session.durable.floor) below \(run.session.nextSequence - 1), "
            + "ranges \(run.session.durable.ranges.map { "\($0.first)-\($0.last)" })")
      }
    }
    return parts.joined(separator: "; ")
  }

  // MARK: Aggregator

  func startAggregator() {
    do {
      aggregator = try AggregatorProcess(world: self, disk: aggregatorDisk)
      aggregatorStartsAt = nil
      // How often a run came back is known to one process of the aggregator only; and of the runs before it knows those that
      // it followed, not those that it told to number anew and that never came again.
      returns = [:]
      runs = [:]
      note("aggregator started")
    } catch {
      note("aggregator does not start: \(error)")
      aggregator = nil
      if aggregatorDisk.hasCrashed { aggregatorDisk.restart() }
      aggregatorStartsAt = now + 1000
    }
  }

  func aggregatorFails(power: Bool) {
    note("aggregator fails, power \(power)")
    aggregator = nil
    if power { aggregatorDisk.restart() } else { aggregatorDisk.processDies() }
    network.aggregatorEnded()
    aggregatorStartsAt = now + Int64.random(in: 100...8000, using: &random)
  }

  /// A restart must arrive at the identical state.
  private func restartAggregatorAndCompare() {
    guard let before = aggregator else { return }
    before.commit()
    let raw = before.raw.rows
    let windows = before.windows.cells
    aggregator = nil
    aggregatorDisk.restart()
    startAggregator()
    guard let after = aggregator else { return fail("the aggregator does not start at the end") }
    if after.raw.rows != raw {
      fail("raw history differs after a restart: \(after.raw.rows.count) rows, had \(raw.count)")
    }
    if after.windows.cells != windows { fail("rollups differ after a restart") }
  }
}
