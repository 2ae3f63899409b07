public import BongsuModel

extension JournalEntry {
  /// The first byte of an entry.
  public enum Kind: UInt8, Sendable, CaseIterable {
    case node = 1
    case layout = 2
    case stream = 3
    case block = 4
    case gap = 5
    case run = 6
  }

  /// Appends the entry; a block's payload is appended by the caller behind it.
  public func encode(into bytes: inout [UInt8]) {
    switch self {
    case .node(let number, let id):
      bytes.append(Kind.node.rawValue)
      bytes.appendVarint(UInt64(number.rawValue))
      bytes.appendText(id.name, max: Limits.nodeIDBytesMax)
    case .layout(let node, let stream, let announcement):
      bytes.append(Kind.layout.rawValue)
      bytes.appendVarint(UInt64(node.rawValue))
      bytes.appendU64(stream.rawValue)
      announcement.encodeBody(into: &bytes)
    case .stream(let node, let stream, let tickFloor):
      bytes.append(Kind.stream.rawValue)
      bytes.appendVarint(UInt64(node.rawValue))
      bytes.appendU64(stream.rawValue)
      bytes.append(tickFloor == nil ? 0 : 1)
      if let tickFloor { bytes.appendSigned(tickFloor.unixMilliseconds) }
    case .run(let node, let run):
      bytes.append(Kind.run.rawValue)
      bytes.appendVarint(UInt64(node.rawValue))
      bytes.appendU64(run.rawValue)
    case .block(let block): block.encode(into: &bytes)
    case .gap(let gap): gap.encode(into: &bytes)
    }
  }

  /// The kind of an entry and the node it speaks of, for readers that pass most entries over; `nil` when it is none.
  public static func head(of record: RawSpan) -> (kind: Kind, node: NodeNumber)? {
    var cursor = ByteCursor()
    guard let code = try? cursor.u8(.entryKind, record), let kind = Kind(rawValue: code),
      let node = try? cursor.varint(.nodeNumber, max: UInt64(UInt32.max), record)
    else { return nil }
    return (kind, NodeNumber(rawValue: UInt32(node)))
  }

  /// Number and tick interval of the layout in a layout entry, without the layout.
  public static func layoutOutline(of record: RawSpan) throws(FrameError) -> (number: Int, interval: TickInterval) {
    var cursor = ByteCursor()
    _ = try cursor.u8(.entryKind, record)
    _ = try cursor.varint(.nodeNumber, max: UInt64(UInt32.max), record)
    _ = try cursor.u64(.stream, record)
    return try LayoutAnnouncement.outline(decodingBody: record, at: &cursor)
  }

  /// Reads an entry.
  ///
  /// - Parameter payloadOffset: set to where a block's payload starts; to the end of `record` for other entries.
  public init(decoding record: RawSpan, payloadOffset: inout Int) throws(FrameError) {
    var cursor = ByteCursor()
    let code = try cursor.u8(.entryKind, record)
    guard let kind = Kind(rawValue: code) else { throw .unknownCode(field: .entryKind, code: UInt64(code)) }
    let node = NodeNumber(rawValue: UInt32(try cursor.varint(.nodeNumber, max: UInt64(UInt32.max), record)))
    switch kind {
    case .node:
      guard let id = NodeID(try cursor.text(.nodeID, max: Limits.nodeIDBytesMax, record)) else {
        throw .malformedText(field: .nodeID)
      }
      self = .node(node, id)
    case .layout:
      let stream = StreamID(rawValue: try cursor.u64(.stream, record))
      self = .layout(node, stream, try LayoutAnnouncement(decodingBody: record, at: &cursor))
    case .stream:
      let stream = StreamID(rawValue: try cursor.u64(.stream, record))
      let hasFloor = try cursor.flags(known: 1, record) != 0
      self = .stream(node, stream, tickFloor: hasFloor ? try cursor.tick(record) : nil)
    case .run: self = .run(node, Incarnation(rawValue: try cursor.u64(.incarnation, record)))
    case .block:
      self = .block(try JournalBlock(node: node, decodingRest: record, at: &cursor))
    case .gap:
      self = .gap(try JournalGap(node: node, decodingRest: record, at: &cursor))
    }
    payloadOffset = cursor.offset
    if kind != .block { try cursor.end(record) }
  }
}

extension JournalBlock {
  /// Appends the entry without its payload. Allocates only when `bytes` must grow.
  public func encode(into bytes: inout [UInt8]) {
    bytes.append(JournalEntry.Kind.block.rawValue)
    bytes.appendVarint(UInt64(node.rawValue))
    bytes.appendSigned(firstTick.unixMilliseconds)
    bytes.appendVarint(UInt64(parts.count))
    var previous = 0
    for part in parts {
      bytes.appendVarint(UInt64(part.lowerBound - previous))
      bytes.appendVarint(UInt64(part.count))
      previous = part.upperBound
    }
    header.encode(into: &bytes)
  }

  init(node: NodeNumber, decodingRest record: RawSpan, at cursor: inout ByteCursor) throws(FrameError) {
    self.node = node
    firstTick = try cursor.tick(record)
    let count = try cursor.count(.partCount, max: WireLimits.blockRowsMax, record)
    parts = []
    var previous = 0
    for _ in 0..<count {
      let start = previous + (try cursor.count(.partCount, max: WireLimits.blockRowsMax, record))
      let length = try cursor.count(.partCount, max: WireLimits.blockRowsMax, record)
      guard length > 0 else { throw .outOfRange(field: .partCount, value: 0, limit: 1) }
      parts.append(start..<(start + length))
      previous = start + length
    }
    let first = try cursor.u8(.firstByte, record)
    guard first == WireVersion.firstByte(.block) else { throw .unknownCode(field: .firstByte, code: UInt64(first)) }
    header = try BlockHeader(decodingBody: record, at: &cursor)
    guard previous <= header.rowCount else {
      throw .outOfRange(field: .partCount, value: Int64(previous), limit: Int64(header.rowCount))
    }
  }

  /// Calls `body` with the offsets of each run of rows that counts.
  public func forEachPart(_ body: (Range<Int>) -> Void) {
    if parts.isEmpty { body(0..<header.rowCount) } else { for part in parts { body(part) } }
  }
}

extension JournalGap {
  private static let sequencesFlag: UInt8 = 1
  private static let ticksFlag: UInt8 = 2

  /// Appends the entry.
  public func encode(into bytes: inout [UInt8]) {
    bytes.append(JournalEntry.Kind.gap.rawValue)
    bytes.appendVarint(UInt64(node.rawValue))
    bytes.append((sequences == nil ? 0 : Self.sequencesFlag) | (ticks == nil ? 0 : Self.ticksFlag))
    bytes.append(reason.rawValue)
    if let sequences {
      bytes.appendVarint(sequences.lowerBound)
      bytes.appendVarint(sequences.upperBound - sequences.lowerBound)
    }
    if let ticks {
      bytes.appendSigned(ticks.lowerBound.unixMilliseconds)
      bytes.appendSigned(ticks.upperBound.unixMilliseconds)
    }
  }

  init(node: NodeNumber, decodingRest record: RawSpan, at cursor: inout ByteCursor) throws(FrameError) {
    self.node = node
    let flags = try cursor.flags(known: Self.sequencesFlag | Self.ticksFlag, record)
    reason = try cursor.reason(record)
    sequences = nil
    ticks = nil
    if flags & Self.sequencesFlag != 0 {
      let first = try cursor.varint(.sequence, max: WireLimits.sequenceMax, record)
      let length = try cursor.varint(.sequenceCount, max: WireLimits.sequenceMax - first, record)
      sequences = first...(first + length)
    }
    if flags & Self.ticksFlag != 0 {
      let first = try cursor.tick(record)
      let last = try cursor.tick(record)
      guard first <= last else {
        throw .outOfRange(field: .tick, value: last.unixMilliseconds, limit: first.unixMilliseconds)
      }
      ticks = first...last
    }
  }
}
