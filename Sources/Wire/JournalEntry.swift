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
