import BongsuModel
import BongsuSpool
import BongsuWire

/// What the day's session does to its world: frames in memory, the agent's own spool on a real disk.
struct DayAgent: AgentSessionHost, ~Copyable {
  var spool: Spool
  /// Frames on their way to the aggregator.
  var frames: [[UInt8]] = []
  /// Counts connections, so that an answer to an earlier one is not taken for the present.
  private(set) var connections: UInt64 = 0
  private(set) var isConnected = false
  private(set) var spills = 0

  init(spool: consuming Spool) { self.spool = spool }

  mutating func connect() {
    connections += 1
    isConnected = true
    frames.removeAll(keepingCapacity: true)
  }

  mutating func disconnect() { isConnected = false }

  mutating func send(_ frame: borrowing [UInt8]) -> Bool {
    if isConnected { frames.append(copy frame) }
    return isConnected
  }

  mutating func spill(_ run: SpooledRun, rows: borrowing [Int64], losses: inout [SpoolLoss]) -> Bool {
    spills += 1
    return spool.spill(run, rows: rows, losses: &losses)
  }

  mutating func release(_ durable: SequenceSet) { spool.release(durable) }

  mutating func spooledRun(endingAtOrAfter sequence: UInt64) -> SpooledRun? {
    spool.spooledRun(endingAtOrAfter: sequence)
  }

  mutating func readSpooled(_ run: SpooledRun, appendingTo frame: inout [UInt8]) -> Bool {
    spool.readSpooled(run, appendingTo: &frame)
  }

  mutating func store(_ state: AgentState) -> Bool { spool.store(state) }
  mutating func store(_ layout: LayoutAnnouncement) -> Bool { spool.store(layout) }
  mutating func resetSpool() { spool.reset() }
  mutating func report(_ notice: AgentNotice) {}
}
