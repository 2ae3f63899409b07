public import BongsuModel

/// The aggregator's answer to Hello: what it has, and how the agent shall send.
public struct Welcome: Hashable, Sendable {
  /// The version that both sides speak from here on.
  public var version: UInt8
  /// Whether the agent's numbering is older than what is stored, so that it must start a new stream.
  public var requiresNewStream: Bool
  /// The stream of the Hello that this answers.
  public var stream: StreamID
  /// The aggregator's wall clock, milliseconds since 1970 in UTC.
  public var serverUnixMilliseconds: Int64
  /// `CLOCK_BOOTTIME` of the Hello's anchor, sent back: its age is the round trip.
  public var echoedBoottimeMilliseconds: Int64
  /// Blocks that may be in flight without acknowledgement.
  public var creditBlocks: Int
  /// How long an acknowledgement may take once a block is stored, milliseconds.
  public var ackIntervalMilliseconds: Int
  /// Oldest tick that is still taken.
  public var oldestTick: Tick
  /// Newest tick stored of this node, `nil` when none is.
  public var newestTick: Tick?
  /// Numbers of this stream that are on disk or consumed; ticks of the set do not travel.
  public var durable: SequenceSet

  public init(
    version: UInt8 = WireVersion.current, requiresNewStream: Bool = false, stream: StreamID,
    serverUnixMilliseconds: Int64, echoedBoottimeMilliseconds: Int64, creditBlocks: Int,
    ackIntervalMilliseconds: Int, oldestTick: Tick, newestTick: Tick?, durable: SequenceSet
  ) {
    self.version = version
    self.requiresNewStream = requiresNewStream
    self.stream = stream
    self.serverUnixMilliseconds = serverUnixMilliseconds
    self.echoedBoottimeMilliseconds = echoedBoottimeMilliseconds
    self.creditBlocks = creditBlocks
    self.ackIntervalMilliseconds = ackIntervalMilliseconds
    self.oldestTick = oldestTick
    self.newestTick = newestTick
    self.durable = durable
  }

  private static let newStreamFlag: UInt8 = 1
  private static let newestTickFlag: UInt8 = 2

  /// Appends the frame.
  public func encode(into bytes: inout [UInt8]) {
    bytes.append(WireVersion.firstByte(.welcome))
    bytes.append((requiresNewStream ? Self.newStreamFlag : 0) | (newestTick == nil ? 0 : Self.newestTickFlag))
    bytes.append(version)
    bytes.appendU64(stream.rawValue)
    bytes.appendI64(serverUnixMilliseconds)
    bytes.appendI64(echoedBoottimeMilliseconds)
    bytes.appendVarint(UInt64(creditBlocks))
    bytes.appendVarint(UInt64(ackIntervalMilliseconds))
    bytes.appendSigned(oldestTick.unixMilliseconds)
    if let newestTick { bytes.appendSigned(newestTick.unixMilliseconds) }
    durable.encodeNumbers(into: &bytes)
  }

  /// Reads the frame.
  public init(decoding frame: RawSpan) throws(FrameError) {
    var cursor = try ByteCursor(after: .welcome, frame)
    let flags = try cursor.flags(known: Self.newStreamFlag | Self.newestTickFlag, frame)
    version = try cursor.u8(.versions, frame)
    guard WireVersion.supported.contains(version) else {
      throw .otherVersion(seen: version, supported: WireVersion.supported)
    }
    requiresNewStream = flags & Self.newStreamFlag != 0
    stream = StreamID(rawValue: try cursor.u64(.stream, frame))
    serverUnixMilliseconds = try cursor.i64(.serverTime, frame)
    guard Limits.tickRange.contains(Tick(unixMilliseconds: serverUnixMilliseconds)) else {
      throw .outOfRange(
        field: .serverTime, value: serverUnixMilliseconds, limit: Limits.tickRange.upperBound.unixMilliseconds)
    }
    echoedBoottimeMilliseconds = try cursor.i64(.boottime, frame)
    creditBlocks = try cursor.count(.credit, max: WireLimits.creditBlocksMax, frame)
    guard creditBlocks >= WireLimits.creditBlocksMin else {
      throw .outOfRange(field: .credit, value: Int64(creditBlocks), limit: Int64(WireLimits.creditBlocksMin))
    }
    ackIntervalMilliseconds = Int(
      try cursor.varint(.ackInterval, max: WireLimits.durationMillisecondsMax, frame))
    oldestTick = try cursor.tick(frame)
    newestTick = flags & Self.newestTickFlag != 0 ? try cursor.tick(frame) : nil
    durable = try SequenceSet(decodingNumbers: frame, at: &cursor)
    try cursor.end(frame)
  }
}

extension ByteCursor {
  /// A byte of flags of which only `known` may be set.
  mutating func flags(known: UInt8, _ bytes: RawSpan) throws(FrameError) -> UInt8 {
    let flags = try u8(.flags, bytes)
    guard flags & ~known == 0 else { throw .unknownFlags(flags & ~known) }
    return flags
  }

  /// A tick within ``Limits/tickRange``.
  mutating func tick(_ bytes: RawSpan) throws(FrameError) -> Tick {
    let tick = Tick(unixMilliseconds: try signed(.tick, bytes))
    guard Limits.tickRange.contains(tick) else {
      throw .outOfRange(
        field: .tick, value: tick.unixMilliseconds, limit: Limits.tickRange.upperBound.unixMilliseconds)
    }
    return tick
  }
}
