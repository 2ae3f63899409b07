import BongsuCodec
import BongsuModel
import BongsuWire

/// A spool that is durable at once, as small as one wishes, and fails on demand.
final class ModelSpool: SpoolBackend {
  private struct Run {
    let header: SpooledRun
    let payload: [UInt8]
  }

  private(set) var state: AgentState?
  private(set) var layouts: [LayoutAnnouncement] = []
  private var runs: [Run] = []
  private var capacityBytes = Int.max
  private var isFailing = false
  private var encoder = BlockEncoder()

  var lastTick: Tick? {
    runs.lazy.filter { !$0.header.first.isProvisional }.map { run in
      run.header.lastTick(self.interval(run.header.layoutNumber))
    }.max()
  }

  private func interval(_ layout: Int) -> TickInterval {
    layouts.first { $0.number == layout }?.layout.interval ?? .second
  }

  func spill(_ run: SpooledRun, rows: [Int64], losses: inout [SpoolLoss]) -> Bool {
    guard !isFailing, let layout = layouts.first(where: { $0.number == run.layoutNumber })?.layout else {
      return false
    }
    var payload: [UInt8] = []
    do {
      try encoder.encode(rows: rows.span, shape: BlockShape(layout), base: nil, appendingTo: &payload)
    } catch {
      return false
    }
    guard payload.count <= capacityBytes else { return false }
    runs.append(Run(header: run, payload: payload))
    while runs.reduce(0, { $0 + $1.payload.count }) > capacityBytes {
      let dropped = runs.removeFirst().header
      losses.append(
        SpoolLoss(
          sequences: dropped.firstSequence...dropped.lastSequence,
          ticks: dropped.first.isProvisional
            ? nil : dropped.first.tick...dropped.lastTick(interval(dropped.layoutNumber)), reason: .spoolOverflow))
    }
    return true
  }

  func release(_ durable: SequenceSet) {
    runs.removeAll { durable.containsAll($0.header.firstSequence, $0.header.lastSequence) }
  }

  func spooledRun(endingAtOrAfter sequence: UInt64) -> SpooledRun? {
    runs.first { $0.header.lastSequence >= sequence }?.header
  }

  func readSpooled(_ run: SpooledRun, appendingTo frame: inout [UInt8]) -> Bool {
    guard let found = runs.first(where: { $0.header == run }) else { return false }
    frame.append(contentsOf: found.payload)
    return true
  }

  func store(_ state: AgentState) -> Bool {
    guard !isFailing else { return false }
    self.state = state
    return true
  }

  func store(_ layout: LayoutAnnouncement) -> Bool {
    layouts.removeAll { $0.number == layout.number }
    layouts.append(layout)
    return !isFailing
  }

  func reset() { runs.removeAll() }

  func keeps(_ sequence: UInt64) -> Bool {
    runs.contains { $0.header.firstSequence <= sequence && sequence <= $0.header.lastSequence }
  }

  func processEnds(power: Bool) {}
  func reopen() {}

  func copy(seed: UInt64) -> any SpoolBackend {
    let twin = ModelSpool()
    twin.state = state
    twin.layouts = layouts
    twin.runs = runs
    twin.capacityBytes = capacityBytes
    return twin
  }

  func trouble(_ kind: Int) { isFailing.toggle() }

  func mend() {
    isFailing = false
    capacityBytes = .max
  }

  func shrink(to bytes: Int) { capacityBytes = bytes }
}
