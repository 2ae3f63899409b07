internal import CZeroMQ

/// A peer of a router: the number the router itself gave to this connection.
///
/// It names a connection, not a machine; who is behind it says `Message.userID`. A reconnected peer has a new one.
/// Two peers cannot have the same: the router counts up from a random 32-bit start.
public struct RoutingID: Sendable, Hashable {
  public let number: UInt32

  public init(number: UInt32) {
    self.number = number
  }

  /// Reads a routing frame; `nil` unless it has the form that the router makes: a zero byte and four more. A peer
  /// that chose its own name is not one of ours.
  init?(frame: RawSpan) {
    // SAFETY of both loads: the count is checked first, and every bit pattern is valid.
    guard frame.byteCount == 5, unsafe frame.unsafeLoadUnaligned(fromByteOffset: 0, as: UInt8.self) == 0 else {
      return nil
    }
    number = unsafe frame.unsafeLoadUnaligned(fromByteOffset: 1, as: UInt32.self).bigEndian
  }
}

/// What a router found in its queue.
public enum Reception: ~Copyable {
  /// Nothing now.
  case nothing
  /// One payload frame and the connection it came from.
  case message(from: RoutingID, Message)
  /// A message in a form that Bongsu's peers never send. It is dropped whole; its first payload frame, if any, still
  /// tells whose it was.
  case refused(EnvelopeFault, Message)
}

/// Why a router refused a message by its frames alone.
public enum EnvelopeFault: Sendable, Hashable {
  /// The peer chose its own routing id.
  case foreignRoutingID
  /// More than one payload frame.
  case tooManyFrames(Int)
}

extension Socket {
  /// Takes the next message of a router: routing frame and one payload frame. Never blocks; payload not copied.
  public mutating func receiveEnvelope() throws(TransportError) -> Reception {
    precondition(kind == .router, "only a router receives envelopes, this is a \(kind)")
    var frame = Message()
    guard try frame.fill(from: handle) else { return .nothing }
    let sender = frame.withBytes { RoutingID(frame: $0) }
    var payload = Message()
    guard frame.hasMore, try payload.fill(from: handle) else { return .refused(.tooManyFrames(0), payload) }
    var payloadFrames = 1
    var hasMore = payload.hasMore
    while hasMore {
      // The rest of a message is there whole once its first frame was.
      guard try frame.fill(from: handle) else { break }
      hasMore = frame.hasMore
      payloadFrames += 1
    }
    guard let sender else { return .refused(.foreignRoutingID, payload) }
    guard payloadFrames == 1 else { return .refused(.tooManyFrames(payloadFrames), payload) }
    return .message(from: sender, payload)
  }

  /// Sends a copy of `bytes` to one peer, or says why not; a refused message leaves nothing behind.
  public mutating func trySend(to peer: RoutingID, copying bytes: RawSpan) throws(TransportError) -> SendOutcome {
    let routed = try route(to: peer)
    // The router refuses at the routing frame or not at all.
    return routed == .sent ? try trySend(copying: bytes) : routed
  }

  /// Sends `message` to one peer, giving its memory away; left untouched unless the outcome is `.sent`.
  public mutating func trySend(
    to peer: RoutingID, _ message: inout Message
  ) throws(TransportError) -> SendOutcome {
    let routed = try route(to: peer)
    return routed == .sent ? try trySend(&message) : routed
  }

  private mutating func route(to peer: RoutingID) throws(TransportError) -> SendOutcome {
    precondition(kind == .router, "only a router sends to a named peer, this is a \(kind)")
    let frame: InlineArray<5, UInt8> = [
      0, UInt8(truncatingIfNeeded: peer.number >> 24), UInt8(truncatingIfNeeded: peer.number >> 16),
      UInt8(truncatingIfNeeded: peer.number >> 8), UInt8(truncatingIfNeeded: peer.number),
    ]
    return try trySend(copying: frame.span, more: true)
  }
}
