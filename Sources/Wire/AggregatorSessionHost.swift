public import BongsuModel

/// One connection of the transport, as the aggregator names it. Numbers are not reused while the process runs; 0 names
/// none.
public struct ConnectionID: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// No connection.
  public static let none = ConnectionID(rawValue: 0)
}

/// What a session needs to know of a layout in order to place a block.
public struct LayoutGeometry: Hashable, Sendable, BitwiseCopyable {
  public var interval: TickInterval
  /// Values in one row.
  public var width: Int

  public init(interval: TickInterval, width: Int) {
    self.interval = interval
    self.width = width
  }
}

/// The circumstances of an event at the aggregator.
public struct AggregatorInstant: Hashable, Sendable, BitwiseCopyable {
  /// A clock that never steps, milliseconds.
  public var monotonicMilliseconds: Int64
  /// Wall clock, milliseconds since 1970 in UTC.
  public var unixMilliseconds: Int64
  /// All journal records up to this number are on disk.
  public var committedRecord: UInt64

  public init(monotonicMilliseconds: Int64, unixMilliseconds: Int64, committedRecord: UInt64) {
    self.monotonicMilliseconds = monotonicMilliseconds
    self.unixMilliseconds = unixMilliseconds
    self.committedRecord = committedRecord
  }
}

/// A block that a session has found worth storing.
public struct AcceptedBlock: Hashable, Sendable {
  /// The entry for the journal, header as received.
  public var entry: JournalBlock
  /// `CLOCK_BOOTTIME` at the first tick, for an anchor should the block be packed again.
  public var boottimeMilliseconds: Int64
  /// Ticks from the base, `nil` when it stands alone.
  public var ticksSinceBase: Int?

  public init(entry: JournalBlock, boottimeMilliseconds: Int64, ticksSinceBase: Int?) {
    self.entry = entry
    self.boottimeMilliseconds = boottimeMilliseconds
    self.ticksSinceBase = ticksSinceBase
  }
}

/// What an aggregator's session does to the world. One host serves all nodes of a shard; a session calls it in the middle
/// of an event, on the shard's thread, and names its node by number.
///
/// The live row of each node belongs to the host: the newest row by tick. A session keeps track of whether it is the one
/// that the next live block is based on.
public protocol AggregatorSessionHost: ~Copyable {
  /// Sends a frame. A frame that the transport cannot take is lost; sessions make good for that.
  mutating func send(_ frame: borrowing [UInt8], over connection: ConnectionID)

  /// Ends a connection after what was sent over it.
  mutating func close(_ connection: ConnectionID)

  /// The layout that the node announced under this number, `nil` when it did not, or when it was forgotten.
  mutating func layout(_ number: Int, of node: NodeNumber) -> LayoutGeometry?

  /// Remembers a layout, in the registry too when it is new.
  mutating func announce(_ layout: LayoutAnnouncement, of node: NodeNumber, _ stream: StreamID)

  /// Decodes a payload into the host's scratch rows; based blocks build on the node's live row.
  ///
  /// - Returns: whether it decoded, into exactly the rows the header says, at consecutive ticks.
  mutating func decode(_ header: BlockHeader, _ payload: RawSpan, ticksSinceBase: Int?, of node: NodeNumber) -> Bool

  /// Journals the block decoded last, and applies the rows that count to the live table and the rollups. Returns the
  /// record's number; numbers grow.
  mutating func store(_ block: AcceptedBlock, _ payload: RawSpan) -> UInt64

  /// Journals another entry, and applies it. Returns the record's number.
  mutating func store(_ entry: JournalEntry) -> UInt64

  /// Something an operator wants to know, or a counter counts.
  mutating func report(_ notice: AggregatorNotice, of node: NodeNumber)
}

/// What an aggregator's session reports.
public enum AggregatorNotice: Hashable, Sendable {
  case connected(Incarnation, agentVersion: String, skewMilliseconds: Int64)
  /// The node is silent or its connection ended.
  case disconnected
  case refused(RefuseReason)
  case rejected(Reject)
  case gap(JournalGap)
  /// Rows that had come before.
  case duplicates(Int)
  /// The node's numbering started anew.
  case newStream(StreamID, replaced: Bool)
  /// A newer run of the agent took over from one that was still there.
  case fenced(Incarnation)
  /// Two runs of the agent take turns: one key is used by two machines.
  case clonedKey(Incarnation, Incarnation)
  case skew(milliseconds: Int64)
}

/// The settings of an aggregator's sessions. Durations are milliseconds.
public struct AggregatorSessionSettings: Hashable, Sendable {
  /// Acknowledgements are gathered for this long; well below the time after which agents spool.
  public var ackInterval: Int64 = 3000
  /// Blocks an agent may have in flight.
  public var creditBlocks = 64
  /// A node that is not heard for this long is offline.
  public var silenceTimeout: Int64 = 30_000
  /// How far ahead of the aggregator's clock a tick may be: what agents tolerate, and the time on the way.
  public var futureTolerance: Int64 = 5000
  /// How old a tick may be: the retention of raw history.
  public var retention: Int64 = 30 * 86_400_000
  /// How long refused agents stay away.
  public var retryAfterRefusal: Int64 = 60_000
  /// How long a run that another one replaced is asked to stay away.
  public var retryAfterFenced: Int64 = 5_000

  public init() {}
}
