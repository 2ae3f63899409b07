public import BongsuModel

/// A field of a frame, as error messages name it.
public enum FrameField: String, Sendable {
  case firstByte = "first byte"
  case flags
  case versions
  case stream
  case incarnation
  case bootID = "boot id"
  case serverTime = "server time"
  case anchorTime = "anchor time"
  case boottime
  case firstSequence = "first sequence of the run"
  case nextSequence = "next sequence"
  case nodeID = "node id"
  case agentVersion = "agent version"
  case layoutCount = "layout count"
  case layoutNumber = "layout number"
  case interval
  case columnCount = "column count"
  case metricID = "metric id"
  case metricUnit = "metric unit"
  case metricKind = "metric kind"
  case scope
  case metricName = "metric name"
  case deviceCount = "device count"
  case deviceIndex = "device index"
  case deviceKey = "device key"
  case deviceModel = "device model"
  case sequence
  case rowCount = "row count"
  case baseDistance = "base distance"
  case tickDistance = "tick distance"
  case tick
  case payload
  case credit
  case ackInterval = "ack interval"
  case floor
  case rangeCount = "range count"
  case range
  case reason
  case retryAfter = "retry after"
  case detail
  case valueSeen = "value seen"
  case limit
  case sequenceCount = "sequence count"
  case nodeNumber = "node number"
  case entryKind = "entry kind"
  case partCount = "part count"
}

/// Why bytes are not a frame. Every decoder of this module throws this and nothing else, and never reads out of bounds.
public enum FrameError: Error, Hashable, Sendable, CustomStringConvertible {
  case empty
  case oversized(bytes: Int, limit: Int)
  case otherVersion(seen: UInt8, supported: ClosedRange<UInt8>)
  case unknownType(UInt8)
  case unexpectedType(seen: FrameType, expected: FrameType)
  case truncated(field: FrameField, neededBytes: Int, availableBytes: Int)
  case varintTooLong(field: FrameField)
  case outOfRange(field: FrameField, value: Int64, limit: Int64)
  case unknownFlags(UInt8)
  case unknownCode(field: FrameField, code: UInt64)
  case malformedText(field: FrameField)
  case duplicateLayout(number: Int)
  case invalidLayout(RowLayout.Invalid)
  case trailingBytes(Int)

  public var description: String {
    switch self {
    case .empty: "frame is empty; a frame starts with its version and type"
    case .oversized(let bytes, let limit): "frame has \(bytes) bytes, limit \(limit)"
    case .otherVersion(let seen, let supported):
      "frame is of wire version \(seen), this build reads \(supported.lowerBound) to \(supported.upperBound); "
        + "upgrade the older side"
    case .unknownType(let type): "frame type \(type) is unknown in wire version \(WireVersion.current)"
    case .unexpectedType(let seen, let expected): "frame is a \(seen), expected a \(expected)"
    case .truncated(let field, let needed, let available):
      "frame ends in its \(field.rawValue): needs \(needed) more bytes, got \(available)"
    case .varintTooLong(let field): "\(field.rawValue) is longer than 64 bits"
    case .outOfRange(let field, let value, let limit): "\(field.rawValue) is \(value), limit \(limit)"
    case .unknownFlags(let bits): "flag bits \(bits) are unknown in wire version \(WireVersion.current)"
    case .unknownCode(let field, let code): "\(field.rawValue) \(code) is unknown"
    case .malformedText(let field): "\(field.rawValue) is not well-formed text"
    case .duplicateLayout(let number): "layout \(number) is announced twice"
    case .invalidLayout(let reason): reason.description
    case .trailingBytes(let count): "frame goes on for \(count) bytes after its last field"
    }
  }
}
