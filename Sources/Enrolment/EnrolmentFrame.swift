public import BongsuModel
public import BongsuTransport

/// What a joining machine asks. Its public key is not in the frame: it is the key by which the connection was encrypted,
/// so that nobody can enrol a key that is not his.
public struct JoinRequest: Hashable, Sendable {
  /// ``EnrolmentLimits/secretBytes`` bytes. Never logged.
  public var secret: [UInt8]
  public var node: NodeID
  /// Release of the agent, at most ``EnrolmentLimits/versionBytesMax`` bytes.
  public var agentVersion: String

  /// - Precondition: `secret` has ``EnrolmentLimits/secretBytes`` bytes.
  public init(secret: [UInt8], node: NodeID, agentVersion: String) {
    precondition(secret.count == EnrolmentLimits.secretBytes, "a secret of \(secret.count) bytes")
    self.secret = secret
    self.node = node
    self.agentVersion = agentVersion
  }
}

/// What a machine that was let in has to know.
public struct JoinAcceptance: Hashable, Sendable {
  public var node: NodeID
  /// Where the node delivers, in the order to try; without host: where it has joined.
  public var endpoints: [HostPort]
  /// The key of the ingest port.
  public var serverKey: PublicKey

  /// - Precondition: 1 to ``EnrolmentLimits/endpointsMax`` endpoints.
  public init(node: NodeID, endpoints: [HostPort], serverKey: PublicKey) {
    precondition((1...EnrolmentLimits.endpointsMax).contains(endpoints.count), "\(endpoints.count) endpoints")
    self.node = node
    self.endpoints = endpoints
    self.serverKey = serverKey
  }
}

/// Why a machine is not let in.
public struct JoinDenial: Hashable, Sendable {
  /// `nil`: a reason that this release does not know; the texts say it.
  public var reason: DenialReason?
  /// When asking again makes sense, milliseconds; 0: not by itself.
  public var retryAfterMilliseconds: UInt32
  /// What was wrong, and what to do.
  public var detail: String
  public var nextStep: String

  public init(_ reason: DenialReason?, detail: String, nextStep: String, retryAfterMilliseconds: UInt32 = 0) {
    self.reason = reason
    self.detail = detail
    self.nextStep = nextStep
    self.retryAfterMilliseconds = retryAfterMilliseconds
  }
}

/// Reasons of refusals; numbers are for ever, raw values are the labels of the counters.
public enum DenialReason: String, Sendable, CaseIterable {
  case otherVersion = "other_version"
  case malformed
  case unknownToken = "unknown_token"
  case revokedToken = "revoked_token"
  case expiredToken = "expired_token"
  case spentToken = "spent_token"
  case wrongNode = "wrong_node"
  case nodeTaken = "node_taken"
  case keyTaken = "key_taken"
  case keyRevoked = "key_revoked"
  case tooManyAttempts = "too_many_attempts"
  case unavailable

  /// The number on the wire.
  var code: UInt8 {
    switch self {
    case .otherVersion: 1
    case .malformed: 2
    case .unknownToken: 3
    case .revokedToken: 4
    case .expiredToken: 5
    case .spentToken: 6
    case .wrongNode: 7
    case .nodeTaken: 8
    case .keyTaken: 9
    case .keyRevoked: 10
    case .tooManyAttempts: 11
    case .unavailable: 12
    }
  }
}

/// One frame of the enrolment port, as drawn in FORMAT.md.
public enum EnrolmentFrame: Hashable, Sendable {
  case join(JoinRequest)
  case accepted(JoinAcceptance)
  case refused(JoinDenial)

  /// The version of the format that this release speaks.
  public static let version: UInt8 = 1

  /// The frame's bytes. Texts that are too long are cut.
  public var bytes: [UInt8] {
    var bytes = [Self.version << 5 | typeNumber]
    switch self {
    case .join(let request):
      bytes += request.secret
      append(request.node.name, max: Limits.nodeIDBytesMax, to: &bytes)
      append(request.agentVersion, max: EnrolmentLimits.versionBytesMax, to: &bytes)
    case .accepted(let acceptance):
      append(acceptance.node.name, max: Limits.nodeIDBytesMax, to: &bytes)
      bytes += acceptance.serverKey.bytes
      bytes.append(UInt8(acceptance.endpoints.count))
      for endpoint in acceptance.endpoints {
        append(endpoint.description, max: EnrolmentLimits.endpointBytesMax, to: &bytes)
      }
    case .refused(let denial):
      bytes.append(denial.reason?.code ?? 0)
      for shift in stride(from: 0, through: 24, by: 8) {
        bytes.append(UInt8(truncatingIfNeeded: denial.retryAfterMilliseconds >> UInt32(shift)))
      }
      append(denial.detail, max: EnrolmentLimits.textBytesMax, to: &bytes)
      append(denial.nextStep, max: EnrolmentLimits.textBytesMax, to: &bytes)
    }
    return bytes
  }

  private var typeNumber: UInt8 {
    switch self {
    case .join: 1
    case .accepted: 2
    case .refused: 3
    }
  }

  private func append(_ text: String, max limit: Int, to bytes: inout [UInt8]) {
    var cut = text.utf8.prefix(limit)
    // Not in the middle of a character, or the receiver would not take it for text.
    while let next = text.utf8.dropFirst(cut.count).first, next & 0xC0 == 0x80 { cut = cut.dropLast() }
    bytes.append(UInt8(cut.count))
    bytes += cut
  }
}
