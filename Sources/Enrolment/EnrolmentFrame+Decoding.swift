internal import BongsuModel
internal import BongsuTransport

/// Why bytes are not a frame of the enrolment port. The decoder throws this and nothing else, whatever it is given.
public enum EnrolmentFrameError: Error, Hashable, Sendable, CustomStringConvertible {
  case empty
  case oversized(bytes: Int)
  case otherVersion(UInt8)
  case unknownType(UInt8)
  case truncated(field: String)
  case tooLong(field: String, bytes: Int, limit: Int)
  case malformed(field: String)
  case trailingBytes(Int)

  public var description: String {
    switch self {
    case .empty: "frame is empty; a frame begins with its version and type"
    case .oversized(let bytes): "frame has \(bytes) bytes, limit \(EnrolmentLimits.frameBytesMax)"
    case .otherVersion(let version):
      "frame is of enrolment version \(version), this release speaks \(EnrolmentFrame.version); upgrade the older side"
    case .unknownType(let type): "frame type \(type) is unknown in enrolment version \(EnrolmentFrame.version)"
    case .truncated(let field): "frame ends in its \(field)"
    case .tooLong(let field, let bytes, let limit): "\(field) has \(bytes) bytes, limit \(limit)"
    case .malformed(let field): "\(field) is not well-formed"
    case .trailingBytes(let count): "frame goes on for \(count) bytes after its last field"
    }
  }
}

extension EnrolmentFrame {
  /// Reads a frame. Never reads beyond `bytes`, whatever they are.
  public init(decoding bytes: [UInt8]) throws(EnrolmentFrameError) {
    guard let first = bytes.first else { throw .empty }
    guard bytes.count <= EnrolmentLimits.frameBytesMax else { throw .oversized(bytes: bytes.count) }
    guard first >> 5 == Self.version else { throw .otherVersion(first >> 5) }
    var reader = FieldReader(bytes: bytes, offset: 1)
    switch first & 31 {
    case 1: self = .join(try reader.joinRequest())
    case 2: self = .accepted(try reader.acceptance())
    case 3: self = .refused(try reader.denial())
    case let other: throw .unknownType(other)
    }
    guard reader.offset == bytes.count else { throw .trailingBytes(bytes.count - reader.offset) }
  }
}

/// Walks over the fields of a frame.
private struct FieldReader {
  let bytes: [UInt8]
  var offset: Int

  mutating func joinRequest() throws(EnrolmentFrameError) -> JoinRequest {
    let secret = try take(EnrolmentLimits.secretBytes, "secret")
    let node = try nodeID()
    return JoinRequest(
      secret: Array(secret), node: node, agentVersion: try text("agent version", EnrolmentLimits.versionBytesMax))
  }

  mutating func acceptance() throws(EnrolmentFrameError) -> JoinAcceptance {
    let node = try nodeID()
    let keyBytes = Array(try take(32, "server key"))
    guard let key = try? PublicKey(bytes: keyBytes) else { throw .malformed(field: "server key") }
    let count = Int(try byte("endpoint count"))
    guard (1...EnrolmentLimits.endpointsMax).contains(count) else { throw .malformed(field: "endpoint count") }
    var endpoints: [HostPort] = []
    for _ in 0..<count {
      guard let endpoint = HostPort(try text("endpoint", EnrolmentLimits.endpointBytesMax)) else {
        throw .malformed(field: "endpoint")
      }
      endpoints.append(endpoint)
    }
    return JoinAcceptance(node: node, endpoints: endpoints, serverKey: key)
  }

  mutating func denial() throws(EnrolmentFrameError) -> JoinDenial {
    let code = try byte("reason")
    let retry = try take(4, "retry after").reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    let detail = try text("detail", EnrolmentLimits.textBytesMax)
    let nextStep = try text("next step", EnrolmentLimits.textBytesMax)
    return JoinDenial(
      DenialReason.allCases.first { $0.code == code }, detail: detail, nextStep: nextStep,
      retryAfterMilliseconds: retry)
  }

  private mutating func nodeID() throws(EnrolmentFrameError) -> NodeID {
    guard let node = NodeID(try text("node id", Limits.nodeIDBytesMax)) else { throw .malformed(field: "node id") }
    return node
  }

  private mutating func byte(_ field: String) throws(EnrolmentFrameError) -> UInt8 {
    guard let byte = try take(1, field).first else { throw .truncated(field: field) }
    return byte
  }

  /// One length byte and that many bytes of printable UTF-8: texts end up in terminals and logs.
  private mutating func text(_ field: String, _ limit: Int) throws(EnrolmentFrameError) -> String {
    let count = Int(try byte(field))
    guard count <= limit else { throw .tooLong(field: field, bytes: count, limit: limit) }
    guard let text = String(validating: try take(count, field), as: UTF8.self),
      text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) })
    else { throw .malformed(field: field) }
    return text
  }

  private mutating func take(_ count: Int, _ field: String) throws(EnrolmentFrameError) -> ArraySlice<UInt8> {
    guard bytes.count - offset >= count else { throw .truncated(field: field) }
    defer { offset += count }
    return bytes[offset..<(offset + count)]
  }
}
