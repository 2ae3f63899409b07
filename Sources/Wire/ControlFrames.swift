public import BongsuModel

/// The aggregator ends a session and says why. Its layout is the same in every wire version.
public struct Refuse: Hashable, Sendable {
  public var reason: RefuseReason
  /// How long the agent stays away, milliseconds; it adds its own jitter.
  public var retryAfterMilliseconds: UInt64
  /// Versions the aggregator speaks.
  public var versions: ClosedRange<UInt8>
  /// The values seen, for people; at most ``WireLimits/detailBytesMax``.
  public var detail: String

  public init(
    reason: RefuseReason, retryAfterMilliseconds: UInt64, versions: ClosedRange<UInt8> = WireVersion.supported,
    detail: String
  ) {
    self.reason = reason
    self.retryAfterMilliseconds = retryAfterMilliseconds
    self.versions = versions
    self.detail = detail
  }

  /// Appends the frame.
  public func encode(into bytes: inout [UInt8]) {
    bytes.append(WireVersion.firstByte(.refuse))
    bytes.append(reason.rawValue)
    bytes.appendVarint(retryAfterMilliseconds)
    bytes.append(versions.lowerBound)
    bytes.append(versions.upperBound)
    bytes.appendText(detail, max: WireLimits.detailBytesMax)
  }

  /// Reads the frame.
  public init(decoding frame: RawSpan) throws(FrameError) {
    var cursor = try ByteCursor(after: .refuse, frame)
    reason = try cursor.reason(frame)
    retryAfterMilliseconds = try cursor.varint(.retryAfter, max: WireLimits.durationMillisecondsMax, frame)
    let oldest = try cursor.u8(.versions, frame)
    let newest = try cursor.u8(.versions, frame)
    guard oldest <= newest, newest < 8 else { throw .outOfRange(field: .versions, value: Int64(newest), limit: 7) }
    versions = oldest...newest
    detail = try cursor.text(.detail, max: WireLimits.detailBytesMax, frame)
    try cursor.end(frame)
  }
}

/// The aggregator names what is on disk, or consumed, and will never be asked for again.
public struct Ack: Hashable, Sendable {
  /// Blocks that may be in flight without acknowledgement.
  public var creditBlocks: Int
  /// Whether ranges have run out, so that only the oldest missing numbers may be sent.
  public var takesOldestOnly: Bool
  /// The numbers; ticks of the set do not travel.
  public var durable: SequenceSet

  public init(creditBlocks: Int, takesOldestOnly: Bool, durable: SequenceSet) {
    self.creditBlocks = creditBlocks
    self.takesOldestOnly = takesOldestOnly
    self.durable = durable
  }

  private static let oldestOnlyFlag: UInt8 = 1

  /// Appends the frame.
  public func encode(into bytes: inout [UInt8]) {
    bytes.append(WireVersion.firstByte(.ack))
    bytes.append(takesOldestOnly ? Self.oldestOnlyFlag : 0)
    bytes.appendVarint(UInt64(creditBlocks))
    durable.encodeNumbers(into: &bytes)
  }

  /// Reads the frame.
  public init(decoding frame: RawSpan) throws(FrameError) {
    var cursor = try ByteCursor(after: .ack, frame)
    takesOldestOnly = try cursor.flags(known: Self.oldestOnlyFlag, frame) != 0
    creditBlocks = try cursor.count(.credit, max: WireLimits.creditBlocksMax, frame)
    durable = try SequenceSet(decodingNumbers: frame, at: &cursor)
    try cursor.end(frame)
  }
}

/// The aggregator does not take a block, and says which value it saw and where the limit is.
public struct Reject: Hashable, Sendable {
  public var firstSequence: UInt64
  public var rowCount: Int
  public var reason: RejectReason
  /// The value that was refused and the limit it broke, in the unit of the reason: milliseconds for ticks, numbers for
  /// bases, layouts and ranges.
  public var valueSeen: Int64
  public var limit: Int64

  public init(firstSequence: UInt64, rowCount: Int, reason: RejectReason, valueSeen: Int64, limit: Int64) {
    self.firstSequence = firstSequence
    self.rowCount = rowCount
    self.reason = reason
    self.valueSeen = valueSeen
    self.limit = limit
  }

  /// Number of the last row.
  public var lastSequence: UInt64 { firstSequence &+ UInt64(rowCount) &- 1 }

  /// Appends the frame.
  public func encode(into bytes: inout [UInt8]) {
    bytes.append(WireVersion.firstByte(.reject))
    bytes.append(reason.rawValue)
    bytes.appendVarint(firstSequence)
    bytes.appendVarint(UInt64(rowCount))
    bytes.appendSigned(valueSeen)
    bytes.appendSigned(limit)
  }

  /// Reads the frame.
  public init(decoding frame: RawSpan) throws(FrameError) {
    var cursor = try ByteCursor(after: .reject, frame)
    reason = try cursor.reason(frame)
    firstSequence = try cursor.varint(.sequence, max: WireLimits.sequenceMax - UInt64(WireLimits.blockRowsMax), frame)
    guard firstSequence > 0 else { throw .outOfRange(field: .sequence, value: 0, limit: 1) }
    rowCount = try cursor.count(.rowCount, max: WireLimits.blockRowsMax, frame)
    guard rowCount > 0 else { throw .outOfRange(field: .rowCount, value: 0, limit: 1) }
    valueSeen = try cursor.signed(.valueSeen, frame)
    limit = try cursor.signed(.limit, frame)
    try cursor.end(frame)
  }
}

/// The agent consumes numbers whose rows will never come.
public struct Gap: Hashable, Sendable {
  public var reason: GapReason
  public var firstSequence: UInt64
  public var lastSequence: UInt64
  /// First and last tick that may have been lost. `nil` where the agent does not know; the aggregator then puts the
  /// tick after the last one it has below the gap.
  public var firstTick: Tick?
  public var lastTick: Tick?

  public init(reason: GapReason, firstSequence: UInt64, lastSequence: UInt64, firstTick: Tick?, lastTick: Tick?) {
    self.reason = reason
    self.firstSequence = firstSequence
    self.lastSequence = lastSequence
    self.firstTick = firstTick
    self.lastTick = lastTick
  }

  private static let firstTickFlag: UInt8 = 1
  private static let lastTickFlag: UInt8 = 2

  /// Appends the frame.
  public func encode(into bytes: inout [UInt8]) {
    bytes.append(WireVersion.firstByte(.gap))
    encodeBody(into: &bytes)
  }

  /// Reads the frame.
  public init(decoding frame: RawSpan) throws(FrameError) {
    var cursor = try ByteCursor(after: .gap, frame)
    try self.init(decodingBody: frame, at: &cursor)
    try cursor.end(frame)
  }

  func encodeBody(into bytes: inout [UInt8]) {
    bytes.append((firstTick == nil ? 0 : Self.firstTickFlag) | (lastTick == nil ? 0 : Self.lastTickFlag))
    bytes.append(reason.rawValue)
    bytes.appendVarint(firstSequence)
    bytes.appendVarint(lastSequence - firstSequence + 1)
    if let firstTick { bytes.appendSigned(firstTick.unixMilliseconds) }
    if let lastTick { bytes.appendSigned(lastTick.unixMilliseconds) }
  }

  init(decodingBody bytes: RawSpan, at cursor: inout ByteCursor) throws(FrameError) {
    let flags = try cursor.flags(known: Self.firstTickFlag | Self.lastTickFlag, bytes)
    reason = try cursor.reason(bytes)
    firstSequence = try cursor.varint(.sequence, max: WireLimits.sequenceMax, bytes)
    guard firstSequence > 0 else { throw .outOfRange(field: .sequence, value: 0, limit: 1) }
    let count = try cursor.varint(.sequenceCount, max: WireLimits.gapCountMax, bytes)
    // Both terms are at most 2^62.
    guard count > 0, firstSequence + count - 1 <= WireLimits.sequenceMax else {
      throw .outOfRange(field: .sequenceCount, value: Int64(count), limit: Int64(WireLimits.gapCountMax))
    }
    lastSequence = firstSequence + count - 1
    firstTick = flags & Self.firstTickFlag != 0 ? try cursor.tick(bytes) : nil
    lastTick = flags & Self.lastTickFlag != 0 ? try cursor.tick(bytes) : nil
  }
}

/// Proof of life, and a reading of both clocks: the agent asks, the aggregator answers at once.
public struct Heartbeat: Hashable, Sendable {
  /// Whether it answers a heartbeat.
  public var isReply: Bool
  /// The sender's wall clock, milliseconds since 1970 in UTC.
  public var unixMilliseconds: Int64
  /// The agent's `CLOCK_BOOTTIME` when it asked; the answer sends it back.
  public var boottimeMilliseconds: Int64

  public init(isReply: Bool, unixMilliseconds: Int64, boottimeMilliseconds: Int64) {
    self.isReply = isReply
    self.unixMilliseconds = unixMilliseconds
    self.boottimeMilliseconds = boottimeMilliseconds
  }

  /// Appends the frame.
  public func encode(into bytes: inout [UInt8]) {
    bytes.append(WireVersion.firstByte(.heartbeat))
    bytes.append(isReply ? 1 : 0)
    bytes.appendSigned(unixMilliseconds)
    bytes.appendVarint(UInt64(bitPattern: boottimeMilliseconds))
  }

  /// Reads the frame.
  public init(decoding frame: RawSpan) throws(FrameError) {
    var cursor = try ByteCursor(after: .heartbeat, frame)
    isReply = try cursor.flags(known: 1, frame) != 0
    unixMilliseconds = try cursor.signed(.anchorTime, frame)
    boottimeMilliseconds = Int64(try cursor.varint(.boottime, max: WireLimits.boottimeMillisecondsMax, frame))
    try cursor.end(frame)
  }
}

extension ByteCursor {
  /// A reason code of family `Code`.
  mutating func reason<Code: ReasonCode>(_ bytes: RawSpan) throws(FrameError) -> Code {
    let code = try u8(.reason, bytes)
    guard let reason = Code(rawValue: code) else { throw .unknownCode(field: .reason, code: UInt64(code)) }
    return reason
  }
}
