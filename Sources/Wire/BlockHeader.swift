public import BongsuModel

/// What stands in front of a block's payload: which numbers, which ticks, which shape.
///
/// A block holds rows of consecutive numbers, one tick apart each; a live block usually holds one. A based block was
/// packed against the last row of the previous live block of its session and names it by distance; a standalone block
/// needs nothing else.
public struct BlockHeader: Hashable, Sendable, BitwiseCopyable {
  /// How the ticks and the prediction of the first row are given.
  public enum Anchor: Hashable, Sendable, BitwiseCopyable {
    /// Packed against the row with the number `firstSequence − sequenceDistance`; the first tick comes `ticks`
    /// intervals after that row's. Boot and clock offset are those of the base.
    case based(sequenceDistance: UInt64, ticks: UInt64)
    /// Packed against nothing. `boottimeMilliseconds` is `CLOCK_BOOTTIME` at the first tick; `boot` names the boot it
    /// belongs to when that is not the one of the session's Hello.
    case standalone(tick: Tick, boottimeMilliseconds: Int64, boot: BootID?)
  }

  /// Number of the announced layout.
  public var layoutNumber: Int
  /// Number of the first row.
  public var firstSequence: UInt64
  /// Rows, at least one.
  public var rowCount: Int
  public var anchor: Anchor
  /// Whether the ticks were moved to the aggregator's time because the node's clock was off.
  public var isCorrected: Bool
  /// Whether it was sent again or comes from the spool. It stands alone and nothing may be based on it.
  public var isLate: Bool

  public init(
    layoutNumber: Int, firstSequence: UInt64, rowCount: Int, anchor: Anchor, isCorrected: Bool, isLate: Bool
  ) {
    self.layoutNumber = layoutNumber
    self.firstSequence = firstSequence
    self.rowCount = rowCount
    self.anchor = anchor
    self.isCorrected = isCorrected
    self.isLate = isLate
  }

  /// Number of the last row.
  public var lastSequence: UInt64 { firstSequence &+ UInt64(rowCount) &- 1 }

  private static let basedFlag: UInt8 = 1
  private static let correctedFlag: UInt8 = 2
  private static let rowCountFlag: UInt8 = 4
  private static let bootFlag: UInt8 = 8
  private static let lateFlag: UInt8 = 16

  /// Appends the header; the payload follows it to the end of the frame. A live based block of one row takes 5 bytes
  /// and those of its number: 9 in all up to number 268 million (eight years at one a second).
  public func encode(into bytes: inout [UInt8]) {
    var flags: UInt8 = (isCorrected ? Self.correctedFlag : 0) | (isLate ? Self.lateFlag : 0)
    if rowCount != 1 { flags |= Self.rowCountFlag }
    switch anchor {
    case .based: flags |= Self.basedFlag
    case .standalone(_, _, let boot): if boot != nil { flags |= Self.bootFlag }
    }
    bytes.append(WireVersion.firstByte(.block))
    bytes.append(flags)
    bytes.appendVarint(UInt64(layoutNumber))
    bytes.appendVarint(firstSequence)
    if rowCount != 1 { bytes.appendVarint(UInt64(rowCount)) }
    switch anchor {
    case .based(let sequenceDistance, let ticks):
      bytes.appendVarint(sequenceDistance)
      bytes.appendVarint(ticks)
    case .standalone(let tick, let boottime, let boot):
      bytes.appendSigned(tick.unixMilliseconds)
      bytes.appendVarint(UInt64(bitPattern: boottime))
      if let boot { bytes.appendU64(boot.rawValue) }
    }
  }

  /// Reads the header of a Block frame.
  ///
  /// - Parameter payloadOffset: set to where the payload starts.
  /// - Complexity: O(1), no allocation.
  public init(decoding frame: RawSpan, payloadOffset: inout Int) throws(FrameError) {
    var cursor = try ByteCursor(after: .block, frame)
    try self.init(decodingBody: frame, at: &cursor)
    guard cursor.offset < frame.byteCount else {
      throw .truncated(field: .payload, neededBytes: 1, availableBytes: 0)
    }
    payloadOffset = cursor.offset
  }

  init(decodingBody frame: RawSpan, at cursor: inout ByteCursor) throws(FrameError) {
    let known = Self.basedFlag | Self.correctedFlag | Self.rowCountFlag | Self.bootFlag | Self.lateFlag
    let flags = try cursor.flags(known: known, frame)
    let isBased = flags & Self.basedFlag != 0
    // What stands alone by its nature cannot be based, and a base carries its own boot.
    if isBased, flags & (Self.lateFlag | Self.bootFlag) != 0 { throw .unknownFlags(flags) }
    isCorrected = flags & Self.correctedFlag != 0
    isLate = flags & Self.lateFlag != 0
    layoutNumber = try cursor.count(.layoutNumber, max: WireLimits.layoutNumberMax, frame)
    firstSequence = try cursor.varint(.sequence, max: WireLimits.sequenceMax - UInt64(WireLimits.blockRowsMax), frame)
    guard firstSequence > 0 else { throw .outOfRange(field: .sequence, value: 0, limit: 1) }
    rowCount = 1
    if flags & Self.rowCountFlag != 0 {
      rowCount = try cursor.count(.rowCount, max: WireLimits.blockRowsMax, frame)
      guard rowCount > 0 else { throw .outOfRange(field: .rowCount, value: 0, limit: 1) }
    }
    if isBased {
      let distance = try cursor.varint(.baseDistance, max: WireLimits.baseDistanceMax, frame)
      guard distance > 0, distance < firstSequence else {
        throw .outOfRange(
          field: .baseDistance, value: Int64(distance), limit: Int64(clamping: firstSequence) - 1)
      }
      let ticks = try cursor.varint(.tickDistance, max: WireLimits.tickDistanceMax, frame)
      guard ticks > 0 else { throw .outOfRange(field: .tickDistance, value: 0, limit: 1) }
      anchor = .based(sequenceDistance: distance, ticks: ticks)
    } else {
      let tick = try cursor.tick(frame)
      let boottime = Int64(try cursor.varint(.boottime, max: WireLimits.boottimeMillisecondsMax, frame))
      let boot = flags & Self.bootFlag != 0 ? BootID(rawValue: try cursor.u64(.bootID, frame)) : nil
      anchor = .standalone(tick: tick, boottimeMilliseconds: boottime, boot: boot)
    }
  }
}
