internal import CZeroMQ

extension Socket {
  /// Takes the next frame without copying its bytes; `nil` when there is none now.
  ///
  /// - Complexity: O(1); frames above 33 bytes share libzmq's receive buffer.
  public mutating func tryReceive() throws(TransportError) -> Message? {
    var message = Message()
    guard try message.fill(from: handle) else { return nil }
    return message
  }

  /// Sends `message` as one frame, giving its memory away; left untouched unless the outcome is `.sent`.
  ///
  /// - Parameter more: another frame of the same message follows, and must be sent before anything else.
  public mutating func trySend(_ message: inout Message, more: Bool = false) throws(TransportError) -> SendOutcome {
    let flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)
    // SAFETY: the message is initialized; libzmq empties it when it takes the content.
    return try outcome { unsafe zmq_msg_send(&message.raw, handle.touch(), flags) }
  }

  /// Sends a copy of `bytes` as one frame.
  public mutating func trySend(copying bytes: RawSpan, more: Bool = false) throws(TransportError) -> SendOutcome {
    let flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)
    // SAFETY: libzmq copies the bytes during the call.
    return try unsafe bytes.withUnsafeBytes { buffer throws(TransportError) in
      try outcome { unsafe zmq_send(handle.touch(), buffer.baseAddress, buffer.count, flags) }
    }
  }

  /// Repeats a send that a signal interrupted, and turns the expected refusals into values.
  private func outcome(_ send: () -> Int32) throws(TransportError) -> SendOutcome {
    while send() < 0 {
      switch zmq_errno() {
      case EINTR: continue
      case EAGAIN: return .wouldBlock
      case EHOSTUNREACH: return .unroutable
      default: throw .last("send on", "a \(handle.name) socket")
      }
    }
    return .sent
  }
}

extension Message {
  /// Replaces the content by the next frame of `handle`; `false` when there is none now.
  mutating func fill(from handle: SocketHandle) throws(TransportError) -> Bool {
    // SAFETY: the message is initialized; libzmq releases its content before it fills it.
    while unsafe zmq_msg_recv(&raw, handle.touch(), ZMQ_DONTWAIT) < 0 {
      switch zmq_errno() {
      case EINTR: continue
      case EAGAIN: return false
      default: throw .last("receive on", "a \(handle.name) socket")
      }
    }
    return true
  }
}
