import BongsuCodec
import BongsuModel
import BongsuWire

/// The spool as the session sees it, kept by the simulation: durable at once, bounded, and failing on demand.
struct AgentStore {
  struct Run {
    let header: SpooledRun
    let payload: [UInt8]
  }

  var state: AgentState?
  var layouts: [LayoutAnnouncement] = []
  var runs: [Run] = []
  var capacityBytes = Int.max
  var isFailing = false

  /// The highest final label in the spool.
  var lastTick: Tick? {
    runs.lazy.filter { !$0.header.first.isProvisional }.map { run in
      run.header.lastTick(interval(run.header.layoutNumber))
    }.max()
  }

  func interval(_ layout: Int) -> TickInterval {
    layouts.first { $0.number == layout }?.layout.interval ?? .second
  }

  mutating func spill(_ header: SpooledRun, _ payload: [UInt8], losses: inout [SpoolLoss]) -> Bool {
    guard !isFailing, payload.count <= capacityBytes else { return false }
    runs.append(Run(header: header, payload: payload))
    while runs.reduce(0, { $0 + $1.payload.count }) > capacityBytes {
      let dropped = runs.removeFirst().header
      let last = dropped.lastTick(interval(dropped.layoutNumber))
      losses.append(
        SpoolLoss(
          sequences: dropped.firstSequence...dropped.lastSequence,
          ticks: dropped.first.isProvisional ? nil : dropped.first.tick...last, reason: .spoolOverflow))
    }
    return true
  }

  mutating func release(_ durable: SequenceSet) {
    runs.removeAll { durable.containsAll($0.header.firstSequence, $0.header.lastSequence) }
  }

  func run(endingAtOrAfter sequence: UInt64) -> SpooledRun? {
    runs.first { $0.header.lastSequence >= sequence }?.header
  }

  func holds(_ sequence: UInt64) -> Bool {
    runs.contains { $0.header.firstSequence <= sequence && sequence <= $0.header.lastSequence }
  }
}
