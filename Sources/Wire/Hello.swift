public import BongsuModel

/// One instant read from two clocks at once; what relates a node's ticks to real time.
public struct ClockReading: Hashable, Sendable, BitwiseCopyable {
  /// Wall clock, milliseconds since 1970 in UTC.
  public var unixMilliseconds: Int64
  /// `CLOCK_BOOTTIME`, milliseconds since the kernel started, sleep included.
  public var boottimeMilliseconds: Int64

  public init(unixMilliseconds: Int64, boottimeMilliseconds: Int64) {
    self.unixMilliseconds = unixMilliseconds
    self.boottimeMilliseconds = boottimeMilliseconds
  }

  /// Wall clock less boot clock: constant while nobody sets the clock.
  public var offsetMilliseconds: Int64 { unixMilliseconds &- boottimeMilliseconds }
}

/// The first frame of a session, from the agent: who it is and where its numbering stands.
public struct Hello: Hashable, Sendable {
  /// Wire versions the agent speaks.
  public var versions: ClosedRange<UInt8>
  /// The node it speaks for; the aggregator compares it with the key's own.
  public var node: NodeID
  /// The numbering of its rows.
  public var stream: StreamID
  /// This run of the agent.
  public var incarnation: Incarnation
  /// This boot of the node.
  public var boot: BootID
  /// The node's clocks when the frame was made.
  public var anchor: ClockReading
  /// The first number that this run of the agent gave, or will give.
  public var firstSequenceOfRun: UInt64
  /// The number that the agent's next row will get.
  public var nextSequence: UInt64
  /// Version of the agent, for people.
  public var agentVersion: String
  /// The layouts its blocks use, ascending by number; more may follow in Layout frames.
  public var layouts: [LayoutAnnouncement]

  public init(
    versions: ClosedRange<UInt8> = WireVersion.supported, node: NodeID, stream: StreamID, incarnation: Incarnation,
    boot: BootID, anchor: ClockReading, firstSequenceOfRun: UInt64, nextSequence: UInt64, agentVersion: String,
    layouts: [LayoutAnnouncement]
  ) {
    self.versions = versions
    self.node = node
    self.stream = stream
    self.incarnation = incarnation
    self.boot = boot
    self.anchor = anchor
    self.firstSequenceOfRun = firstSequenceOfRun
    self.nextSequence = nextSequence
    self.agentVersion = agentVersion
    self.layouts = layouts
  }

  /// Appends the frame.
  public func encode(into bytes: inout [UInt8]) {
    bytes.append(WireVersion.firstByte(.hello))
    bytes.append(versions.lowerBound)
    bytes.append(versions.upperBound)
    bytes.appendU64(stream.rawValue)
    bytes.appendU64(incarnation.rawValue)
    bytes.appendU64(boot.rawValue)
    bytes.appendI64(anchor.unixMilliseconds)
    bytes.appendI64(anchor.boottimeMilliseconds)
    bytes.appendU64(firstSequenceOfRun)
    bytes.appendU64(nextSequence)
    bytes.appendText(node.name, max: Limits.nodeIDBytesMax)
    bytes.appendText(agentVersion, max: WireLimits.versionTextBytesMax)
    bytes.appendVarint(UInt64(layouts.count))
    for layout in layouts { layout.encodeBody(into: &bytes) }
  }

  /// Reads the frame. The anchor's wall clock may be any number: it is the node's claim and may be decades off.
  public init(decoding frame: RawSpan) throws(FrameError) {
    var cursor = try ByteCursor(after: .hello, frame)
    let oldest = try cursor.u8(.versions, frame)
    let newest = try cursor.u8(.versions, frame)
    guard oldest <= newest, newest < 8 else {
      throw .outOfRange(field: .versions, value: Int64(newest), limit: 7)
    }
    versions = oldest...newest
    stream = StreamID(rawValue: try cursor.u64(.stream, frame))
    incarnation = Incarnation(rawValue: try cursor.u64(.incarnation, frame))
    boot = BootID(rawValue: try cursor.u64(.bootID, frame))
    anchor = ClockReading(
      unixMilliseconds: try cursor.i64(.anchorTime, frame), boottimeMilliseconds: try cursor.i64(.boottime, frame))
    guard (0...Int64(WireLimits.boottimeMillisecondsMax)).contains(anchor.boottimeMilliseconds) else {
      throw .outOfRange(
        field: .boottime, value: anchor.boottimeMilliseconds, limit: Int64(WireLimits.boottimeMillisecondsMax))
    }
    firstSequenceOfRun = try cursor.u64(.firstSequence, frame)
    nextSequence = try cursor.u64(.nextSequence, frame)
    guard (1...WireLimits.sequenceMax).contains(nextSequence) else {
      throw .outOfRange(
        field: .nextSequence, value: Int64(clamping: nextSequence), limit: Int64(WireLimits.sequenceMax))
    }
    guard (1...nextSequence).contains(firstSequenceOfRun) else {
      throw .outOfRange(
        field: .firstSequence, value: Int64(clamping: firstSequenceOfRun), limit: Int64(nextSequence))
    }
    guard let node = NodeID(try cursor.text(.nodeID, max: Limits.nodeIDBytesMax, frame)) else {
      throw .malformedText(field: .nodeID)
    }
    self.node = node
    agentVersion = try cursor.text(.agentVersion, max: WireLimits.versionTextBytesMax, frame)
    let count = try cursor.count(.layoutCount, max: WireLimits.layoutsMax, frame)
    layouts = []
    layouts.reserveCapacity(count)
    for _ in 0..<count {
      let layout = try LayoutAnnouncement(decodingBody: frame, at: &cursor)
      guard !layouts.contains(where: { $0.number == layout.number }) else {
        throw .duplicateLayout(number: layout.number)
      }
      layouts.append(layout)
    }
    try cursor.end(frame)
  }
}
