public import BongsuModel

/// The number under which an aggregator's journal and registry know a node; it never changes and is never reused within
/// one data directory.
public struct NodeNumber: RawRepresentable, Hashable, Comparable, Sendable, BitwiseCopyable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  public static func < (left: NodeNumber, right: NodeNumber) -> Bool { left.rawValue < right.rawValue }
}

/// What one journal record says: the payload of a record of the log. Container, numbering and checksum are the log's.
///
/// Entries are complete: a reader that starts at any segment's first record needs the registry's node names and the
/// layouts (both outlive the journal) and nothing else, because each node's first live block in a segment stands alone.
/// A block entry names the rows that count, so that readers need no deduplication of their own.
public enum JournalEntry: Hashable, Sendable {
  /// A node number was given to a name.
  case node(NodeNumber, NodeID)
  /// A layout that later blocks of the node name by its number and stream.
  case layout(NodeNumber, StreamID, LayoutAnnouncement)
  /// A node's numbering starts, or starts anew. Rows up to `tickFloor` (nil: none) belong to earlier streams.
  case stream(NodeNumber, StreamID, tickFloor: Tick?)
  /// Another run of the node's agent speaks.
  case run(NodeNumber, Incarnation)
  /// Rows; the payload follows the entry's header and is handed over beside it.
  case block(JournalBlock)
  /// Numbers of the node's stream that are consumed without rows, and the ticks that may be lost with them.
  case gap(JournalGap)
}

/// A block as the journal keeps it.
public struct JournalBlock: Hashable, Sendable {
  public var node: NodeNumber
  /// Header as received, or with a standalone anchor where the row was packed again to begin a segment.
  public var header: BlockHeader
  /// The tick of the first row, also where the header is based.
  public var firstTick: Tick
  /// Which rows count, as offsets into the block, ascending; empty: all. The others were stored before.
  public var parts: [Range<Int>]

  public init(node: NodeNumber, header: BlockHeader, firstTick: Tick, parts: [Range<Int>] = []) {
    self.node = node
    self.header = header
    self.firstTick = firstTick
    self.parts = parts
  }
}

/// A gap as the journal keeps it.
public struct JournalGap: Hashable, Sendable {
  public var node: NodeNumber
  /// Numbers that are consumed; `nil` for a span of ticks without numbers, such as that between two streams.
  public var sequences: ClosedRange<UInt64>?
  public var reason: GapReason
  /// Ticks that may be lost: where a row is stored, the row counts. `nil` where not even one could be.
  public var ticks: ClosedRange<Tick>?

  public init(node: NodeNumber, sequences: ClosedRange<UInt64>?, reason: GapReason, ticks: ClosedRange<Tick>?) {
    self.node = node
    self.sequences = sequences
    self.reason = reason
    self.ticks = ticks
  }
}

/// The row of one node that a based block of the journal may build on, as a reader of the journal follows it.
///
/// A reader keeps one for each node, together with the row itself: the newest by tick. After damage a base may be
/// missing, and decoding on another row would give wrong values; so every block is asked for here, in order, before it is
/// decoded. Start at the first record of a segment, with an empty value.
///
/// The writer keeps one too, emptied with each segment: a block that it does not admit is packed again to stand alone.
public struct JournalBase: Hashable, Sendable, BitwiseCopyable {
  /// Number of the row, 0: there is none.
  public private(set) var sequence: UInt64 = 0
  /// Tick of the newest row that was taken into account, milliseconds; `Int64.min`: none was.
  public private(set) var tick = Int64.min

  public init() {}

  /// What a checkpoint kept of one.
  public init(sequence: UInt64, tick: Int64) {
    self.sequence = sequence
    self.tick = tick
  }

  /// Whether a block can be decoded on what was read before. The rows that count, when the answer is `true`, are then
  /// taken into account: the reader keeps the newest.
  public mutating func admits(_ block: JournalBlock, interval: TickInterval) -> Bool {
    if case .based(let distance, _) = block.header.anchor {
      guard sequence != 0, block.header.firstSequence - distance == sequence else { return false }
    }
    let last = (block.parts.last?.upperBound ?? block.header.rowCount) - 1
    let lastTick = block.firstTick.advanced(by: last, of: interval).unixMilliseconds
    if lastTick > tick {
      tick = lastTick
      sequence = block.header.firstSequence + UInt64(last)
    }
    return true
  }

  /// The node's numbering starts anew: numbers before mean other rows.
  public mutating func streamChanged() { sequence = 0 }
}
