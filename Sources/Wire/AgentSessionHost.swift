public import BongsuModel

/// What an agent's session does to the world: its effects, and the answers of the spool.
///
/// A session calls its host in the middle of an event, on the thread that delivered the event. The host neither calls
/// back nor blocks for long. In the agent it wires the socket and the spool; in tests it is a simulation.
public protocol AgentSessionHost: ~Copyable {
  /// Opens a fresh connection, giving up the one before. Frames sent from now on travel over it, in order.
  mutating func connect()

  /// Gives up the connection.
  mutating func disconnect()

  /// Hands a frame to the transport; `false` when its queue is full, in which case nothing was sent.
  mutating func send(_ frame: borrowing [UInt8]) -> Bool

  /// Writes rows to the spool, durably. Rows lie one after the other in `rows`.
  ///
  /// - Returns: whether they are stored; and what the spool dropped to make room, in `losses`.
  mutating func spill(_ run: SpooledRun, rows: borrowing [Int64], losses: inout [SpoolLoss]) -> Bool

  /// Tells which numbers are acknowledged and need not be kept.
  mutating func release(_ durable: SequenceSet)

  /// The spooled run with the lowest numbers among those that end at or after `sequence`; `nil` when there is none.
  mutating func spooledRun(endingAtOrAfter sequence: UInt64) -> SpooledRun?

  /// Appends the payload of a run to `frame`; `false` when it cannot be read, upon which the run is gone.
  mutating func readSpooled(_ run: SpooledRun, appendingTo frame: inout [UInt8]) -> Bool

  /// Replaces the stored state, durably; `false` when that failed. A host without a disk answers `true`: its streams
  /// end with its process.
  mutating func store(_ state: AgentState) -> Bool

  /// Stores a layout that spooled runs will name; `false` when that failed.
  mutating func store(_ layout: LayoutAnnouncement) -> Bool

  /// Empties the spool: its numbers belong to a stream that has ended.
  mutating func resetSpool()

  /// Something an operator wants to know.
  mutating func report(_ notice: AgentNotice)
}

/// What an agent's session reports, once for each change.
public enum AgentNotice: Hashable, Sendable {
  /// A session is established; the node's clock is this far from the aggregator's.
  case welcomed(skewMilliseconds: Int64?)
  /// The session ended; the next attempt comes after this time.
  case disconnected(Disconnection, retryAfterMilliseconds: Int64)
  /// The aggregator does not take rows.
  case rejected(Reject)
  /// Rows are lost for good, and recorded as such.
  case lost(Gap)
  /// The numbering was overtaken, or cannot be kept on disk, and starts anew.
  case newStream(StreamID)
  /// The spool takes no rows at the moment, or takes them again.
  case spoolFailing(Bool)
  /// Ticks follow the aggregator's clock because the node's is off, or follow the node's again.
  case clockCorrected(Bool, skewMilliseconds: Int64)
  /// A frame of the aggregator cannot be read and was passed over.
  case malformedFrame(FrameError)
}

/// Why a session ended.
public enum Disconnection: Hashable, Sendable {
  /// The transport says so.
  case connectionLost
  /// No answer to Hello.
  case noWelcome(afterMilliseconds: Int64)
  /// Nothing heard for too long.
  case silence(milliseconds: Int64)
  /// The aggregator said so.
  case refused(Refuse)
}

/// The settings of an agent's session. Durations are milliseconds.
public struct AgentSessionSettings: Hashable, Sendable {
  public var node: NodeID
  public var incarnation: Incarnation
  public var boot: BootID
  public var agentVersion: String

  /// Rows that stay unacknowledged for this long go to the spool.
  public var spillAfter: Int64 = 5000
  /// Rows kept in memory; the oldest go to the spool before that.
  public var pendingRowsMax = 128
  /// How long a Hello waits for its Welcome.
  public var welcomeTimeout: Int64 = 10_000
  /// A heartbeat is sent when nothing else was for this long, and the clock is compared this often at least.
  public var heartbeatInterval: Int64 = 5000
  public var clockInterval: Int64 = 30_000
  /// A connection on which nothing is heard for this long is given up.
  public var silenceTimeout: Int64 = 15_000
  /// Reconnecting waits a random part of this, doubled with each failure up to the maximum.
  public var reconnectBase: Int64 = 4000
  public var reconnectMax: Int64 = 30_000
  /// Spooled rows sent per second of time, as a multiple of those sampled in it.
  public var drainTicksPerTick: Int64 = 60
  /// A live block stands alone at least this often.
  public var keyframeBlocks = 60
  /// Numbers taken from the disk state at a time.
  public var leaseRows: UInt64 = 1 << 16

  public init(node: NodeID, incarnation: Incarnation, boot: BootID, agentVersion: String) {
    self.node = node
    self.incarnation = incarnation
    self.boot = boot
    self.agentVersion = agentVersion
  }
}
