public import BongsuModel

/// The aggregator's side of delivery for one node: takes each row once, acknowledges what is on disk and nothing else,
/// and tells one run of the agent from another.
///
/// What it promises, given a host that keeps its own contract:
/// - A number is stored once per stream, and a tick once per node, whatever is sent again by whichever path.
/// - A number is acknowledged only when the record that holds its row, or the gap in its place, is on disk.
/// - Every number that was acknowledged without a row is covered by a gap record.
/// - At most one connection of a node is listened to.
///
/// Two sets of numbers do it. *Received* is what has been handed to the journal; it drops duplicates. *Durable* is
/// what the journal has on disk; it alone is acknowledged. Since one shard writes one journal in the order in which
/// blocks arrive, durable is received as of an earlier record, so one remembered copy with its record number, the
/// *mark*, is enough:
///
///     journal  ──●────●────●────●────●──▶     a commit reaches record 3:
///     record     1    2    3    4    5          mark (taken at 2) ─▶ durable
///                     ▲ mark         ▲ received    received at 5    ─▶ mark
///
/// A plain value of about 300 bytes per node; a shard holds tens of thousands. Used by the shard's thread alone. Taking
/// a block allocates nothing while numbers follow each other.
public struct AggregatorSession: Sendable {
  let node: NodeNumber

  // Numbers.
  public internal(set) var stream: StreamID?
  /// Numbers handed to the journal.
  public internal(set) var received = SequenceSet()
  var mark = SequenceSet()
  var markRecord: UInt64 = 0
  var durable = SequenceSet()
  /// Record of the node's last entry in the journal.
  var lastRecord: UInt64 = 0
  /// Highest tick stored in any stream, milliseconds; `Int64.min`: none.
  var newestTick = Int64.min

  // Session.
  /// The connection that is listened to.
  public internal(set) var connection = ConnectionID.none
  /// The run of the agent that spoke last.
  public internal(set) var incarnation: Incarnation?
  /// Runs that were replaced while or before another one spoke, newest first.
  var fenced: [Incarnation] = []
  public internal(set) var isRevoked = false
  /// How often a run that had been replaced spoke again.
  var alternations: UInt8 = 0

  // Base of the next live block: number, tick and layout of the node's live row, 0 when it is not a base.
  var baseSequence: UInt64 = 0
  var baseTick: Int64 = 0
  var baseClockOffset: Int64 = 0
  var baseLayout: Int32 = 0

  // Acknowledging.
  /// When the first block came that no Ack has covered yet; `Int64.max`: there is none.
  var ackDueSince = Int64.max
  var blocksSinceAck = 0
  /// Whether the connection was sent an Ack. The first comes as soon as it can, so that an agent whose rows had to wait
  /// for an aggregator lets go of them.
  var hasAcknowledged = false
  /// How many numbers the last Ack of this session held.
  var acknowledgedCount: UInt64 = 0

  var lastHeard = Int64.min
  /// The node's wall clock less the aggregator's, as of its last reading, transit included.
  public internal(set) var skewMilliseconds: Int64 = 0

  static let fencedMax = 4
  /// How far back a gap reaches that begins before everything known of the node, milliseconds: a day.
  static let unknownSpan: Int64 = 86_400_000

  /// A node that is not known yet.
  public init(node: NodeNumber) { self.node = node }

  /// Whether a connection is listened to.
  public var isConnected: Bool { connection != .none }

  /// Numbers that may be acknowledged when all records up to `committed` are on disk.
  func durable(through committed: UInt64) -> SequenceSet {
    if lastRecord <= committed { return received }
    return markRecord <= committed ? mark : durable
  }

  /// Notes that a record was written, after `received` has changed.
  mutating func wrote(_ record: UInt64, committed: UInt64) {
    lastRecord = record
    if markRecord <= committed {
      durable = mark
      mark = received
      markRecord = record
    }
  }

  // MARK: Restart

  /// Takes an entry of the journal at a restart, in order. Entries of other nodes are not to be passed.
  public mutating func replay(_ entry: JournalEntry, interval: (Int) -> TickInterval?) {
    switch entry {
    case .node, .layout: break
    case .run(_, let run): follow(run)
    case .stream(_, let stream, let tickFloor): begin(stream, tickFloor: tickFloor)
    case .block(let block):
      guard let interval = interval(block.header.layoutNumber) else { break }
      block.forEachPart { part in
        let first = block.firstTick.advanced(by: part.lowerBound, of: interval).unixMilliseconds
        let last = block.firstTick.advanced(by: part.upperBound - 1, of: interval).unixMilliseconds
        _ = received.insert(
          block.header.firstSequence + UInt64(part.lowerBound),
          block.header.firstSequence + UInt64(part.upperBound) - 1,
          firstTick: first, lastTick: last)
        newestTick = max(newestTick, last)
      }
    case .gap(let gap):
      if let sequences = gap.sequences { _ = received.insert(sequences.lowerBound, sequences.upperBound) }
    }
    durable = received
    mark = received
  }

  /// Appends what a checkpoint keeps of the node: valid together with all journal records up to ``lastRecord`` on disk.
  public func encodeCheckpoint(into bytes: inout [UInt8]) {
    bytes.append(stream == nil ? 0 : 1)
    bytes.appendU64(stream?.rawValue ?? 0)
    bytes.appendI64(newestTick)
    received.encode(into: &bytes)
    let runs = (incarnation.map { [$0] } ?? []) + fenced
    bytes.append(UInt8(runs.count))
    for run in runs { bytes.appendU64(run.rawValue) }
  }

  /// Reads what ``encodeCheckpoint(into:)`` wrote, from `offset` on, and moves `offset` behind it.
  public init(node: NodeNumber, decodingCheckpoint bytes: RawSpan, offset: inout Int) throws(FrameError) {
    self.init(node: node)
    var cursor = ByteCursor(at: offset)
    let hasStream = try cursor.flags(known: 1, bytes) != 0
    let stream = StreamID(rawValue: try cursor.u64(.stream, bytes))
    self.stream = hasStream ? stream : nil
    newestTick = try cursor.i64(.tick, bytes)
    received = try SequenceSet(decoding: bytes, at: &cursor)
    durable = received
    mark = received
    let count = Int(try cursor.u8(.rangeCount, bytes))
    guard count <= Self.fencedMax + 1 else {
      throw .outOfRange(field: .rangeCount, value: Int64(count), limit: Int64(Self.fencedMax + 1))
    }
    for index in 0..<count {
      let run = Incarnation(rawValue: try cursor.u64(.incarnation, bytes))
      if index == 0 { incarnation = run } else { fenced.append(run) }
    }
    offset = cursor.offset
  }

  /// Another run of the agent speaks from now on.
  mutating func follow(_ run: Incarnation) {
    guard run != incarnation else { return }
    fenced.removeAll { $0 == run }
    if let incarnation { fenced.insert(incarnation, at: 0) }
    if fenced.count > Self.fencedMax { fenced.removeLast() }
    incarnation = run
  }

  /// Starts the numbering of `stream`. Rows at or before `tickFloor` belong to earlier ones.
  mutating func begin(_ stream: StreamID, tickFloor: Tick?) {
    self.stream = stream
    received = SequenceSet(floor: 0, floorTick: tickFloor?.unixMilliseconds ?? .min)
    mark = received
    durable = received
    baseSequence = 0
  }
}
