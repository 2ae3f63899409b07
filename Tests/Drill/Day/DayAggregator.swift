import BongsuModel
import BongsuWire

/// The other side of the day's one session: an aggregator's session over a journal that forgets.
struct DayAggregator: AggregatorSessionHost, ~Copyable {
  /// Frames on their way to the agent.
  var answers: [[UInt8]] = []
  /// Rows that were stored, and rows that gap records stand for.
  private(set) var rows = 0
  private(set) var lostRows: UInt64 = 0
  private(set) var records: UInt64 = 0
  private var layouts: [Int: LayoutGeometry] = [:]

  mutating func send(_ frame: borrowing [UInt8], over connection: ConnectionID) { answers.append(copy frame) }
  mutating func close(_ connection: ConnectionID) {}
  mutating func layout(_ number: Int, of node: NodeNumber) -> LayoutGeometry? { layouts[number] }

  mutating func announce(_ layout: LayoutAnnouncement, of node: NodeNumber, _ stream: StreamID) {
    layouts[layout.number] = LayoutGeometry(interval: layout.layout.interval, width: layout.layout.width)
  }

  mutating func decode(_ header: BlockHeader, _ payload: RawSpan, ticksSinceBase: Int?, of node: NodeNumber) -> Bool {
    true
  }

  mutating func store(_ block: AcceptedBlock, _ payload: RawSpan) -> UInt64 {
    rows += block.entry.parts.isEmpty ? block.entry.header.rowCount : block.entry.parts.reduce(0) { $0 + $1.count }
    records += 1
    return records
  }

  mutating func store(_ entry: JournalEntry) -> UInt64 {
    if case .gap(let gap) = entry, let numbers = gap.sequences { lostRows += UInt64(numbers.count) }
    records += 1
    return records
  }

  mutating func report(_ notice: AggregatorNotice, of node: NodeNumber) {}
}
