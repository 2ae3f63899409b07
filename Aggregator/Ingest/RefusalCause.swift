internal import BongsuTransport
internal import BongsuWire

/// Why something is refused at the border: the closed set behind the label `reason` of `bongsu_ingest_refused_total`.
enum RefusalCause: String, Hashable, Sendable, CaseIterable {
  case foreignRoutingID = "foreign_routing_id"
  case tooManyFrames = "too_many_frames"
  case emptyFrame = "empty_frame"
  case oversizedFrame = "oversized_frame"
  case otherVersion = "other_version"
  case unknownType = "unknown_type"
  case unexpectedType = "unexpected_type"
  case truncatedFrame = "truncated_frame"
  case impossibleValue = "impossible_value"
  case malformedText = "malformed_text"
  case invalidLayout = "invalid_layout"
  case trailingBytes = "trailing_bytes"
  case foreignNode = "foreign_node"
  case unsupportedVersion = "unsupported_version"
  case malformedHello = "malformed_hello"
  case revoked
  case fenced
  case clonedKey = "cloned_key"
  case helloExpected = "hello_expected"
  case overloaded
  case shuttingDown = "shutting_down"
  case silent

  init(_ fault: EnvelopeFault) {
    switch fault {
    case .foreignRoutingID: self = .foreignRoutingID
    case .tooManyFrames: self = .tooManyFrames
    }
  }

  init(_ error: FrameError) {
    switch error {
    case .empty: self = .emptyFrame
    case .oversized: self = .oversizedFrame
    case .otherVersion: self = .otherVersion
    case .unknownType: self = .unknownType
    case .unexpectedType: self = .unexpectedType
    case .truncated: self = .truncatedFrame
    case .varintTooLong, .outOfRange, .unknownFlags, .unknownCode: self = .impossibleValue
    case .malformedText: self = .malformedText
    case .duplicateLayout, .invalidLayout: self = .invalidLayout
    case .trailingBytes: self = .trailingBytes
    }
  }

  init(_ reason: RefuseReason) {
    switch reason {
    case .unsupportedVersion: self = .unsupportedVersion
    case .malformedHello: self = .malformedHello
    case .nodeMismatch: self = .foreignNode
    case .revoked: self = .revoked
    case .fenced: self = .fenced
    case .clonedKey: self = .clonedKey
    case .helloExpected: self = .helloExpected
    case .overloaded: self = .overloaded
    case .shuttingDown: self = .shuttingDown
    case .silent: self = .silent
    }
  }
}
