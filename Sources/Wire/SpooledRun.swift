public import BongsuModel

/// What the agent's spool knows of one of its records: rows of consecutive numbers and ticks, packed as one standalone
/// payload of the codec.
public struct SpooledRun: Hashable, Sendable, BitwiseCopyable {
  /// Number of the first row.
  public var firstSequence: UInt64
  /// Rows, from 1 to ``WireLimits/blockRowsMax``.
  public var rowCount: Int
  /// Number of their layout within the stream.
  public var layoutNumber: Int
  /// Label and clocks of the first row; the others follow one interval apart.
  public var first: TickStamp
  /// The boot they were sampled in.
  public var boot: BootID

  public init(firstSequence: UInt64, rowCount: Int, layoutNumber: Int, first: TickStamp, boot: BootID) {
    self.firstSequence = firstSequence
    self.rowCount = rowCount
    self.layoutNumber = layoutNumber
    self.first = first
    self.boot = boot
  }

  /// Number of the last row.
  public var lastSequence: UInt64 { firstSequence + UInt64(rowCount) - 1 }

  /// Label of the last row.
  public func lastTick(_ interval: TickInterval) -> Tick { first.tick.advanced(by: rowCount - 1, of: interval) }
}

/// Numbers that the spool no longer has, because it was full, or because their record failed its checksum.
public struct SpoolLoss: Hashable, Sendable {
  public var sequences: ClosedRange<UInt64>
  /// Labels of the rows, when they are known and final.
  public var ticks: ClosedRange<Tick>?
  public var reason: GapReason

  public init(sequences: ClosedRange<UInt64>, ticks: ClosedRange<Tick>?, reason: GapReason) {
    self.sequences = sequences
    self.ticks = ticks
    self.reason = reason
  }
}

/// The clock anchor of one boot; see ``TickClock``.
public struct BootAnchor: Hashable, Sendable, BitwiseCopyable {
  public var boot: BootID
  public var offsetMilliseconds: Int64

  public init(boot: BootID, offsetMilliseconds: Int64) {
    self.boot = boot
    self.offsetMilliseconds = offsetMilliseconds
  }
}

/// What an agent must find again after it was killed: written whole, atomically and synced, a few times a day.
public struct AgentState: Hashable, Sendable {
  /// The numbering, which lives as long as this state.
  public var stream: StreamID
  /// Numbers below may have been used; a start after an unclean end goes on from here.
  public var leaseEnd: UInt64
  /// Anchors of the latest boots, newest first, at most ``anchorsMax``.
  public var anchors: [BootAnchor]

  /// How many boots are remembered.
  public static let anchorsMax = 8

  public init(stream: StreamID, leaseEnd: UInt64, anchors: [BootAnchor] = []) {
    self.stream = stream
    self.leaseEnd = leaseEnd
    self.anchors = anchors
  }

  /// The anchor of `boot`, when it had one.
  public func anchor(of boot: BootID) -> Int64? { anchors.first { $0.boot == boot }?.offsetMilliseconds }

  /// Remembers an anchor and forgets the oldest beyond ``anchorsMax``.
  public mutating func remember(_ anchor: BootAnchor) {
    anchors.removeAll { $0.boot == anchor.boot }
    anchors.insert(anchor, at: 0)
    if anchors.count > Self.anchorsMax { anchors.removeLast() }
  }

  /// Appends the state as bytes.
  public func encode(into bytes: inout [UInt8]) {
    bytes.append(1)
    bytes.appendU64(stream.rawValue)
    bytes.appendU64(leaseEnd)
    bytes.append(UInt8(anchors.count))
    for anchor in anchors {
      bytes.appendU64(anchor.boot.rawValue)
      bytes.appendI64(anchor.offsetMilliseconds)
    }
  }

  /// Reads the state; integrity is the container's business.
  public init(decoding bytes: RawSpan) throws(FrameError) {
    var cursor = ByteCursor()
    let version = try cursor.u8(.firstByte, bytes)
    guard version == 1 else { throw .unknownCode(field: .firstByte, code: UInt64(version)) }
    stream = StreamID(rawValue: try cursor.u64(.stream, bytes))
    leaseEnd = try cursor.u64(.nextSequence, bytes)
    guard (1...WireLimits.sequenceMax).contains(leaseEnd) else {
      throw .outOfRange(
        field: .nextSequence, value: Int64(clamping: leaseEnd), limit: Int64(WireLimits.sequenceMax))
    }
    let count = Int(try cursor.u8(.rangeCount, bytes))
    guard count <= Self.anchorsMax else {
      throw .outOfRange(field: .rangeCount, value: Int64(count), limit: Int64(Self.anchorsMax))
    }
    anchors = []
    for _ in 0..<count {
      let boot = BootID(rawValue: try cursor.u64(.bootID, bytes))
      anchors.append(BootAnchor(boot: boot, offsetMilliseconds: try cursor.i64(.anchorTime, bytes)))
    }
    try cursor.end(bytes)
  }
}
