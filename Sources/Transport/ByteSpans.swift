// The same calls for `Span<UInt8>`, whose view as raw bytes would be an unsafe expression at every caller.

extension Message {
  /// A frame with a copy of `bytes`.
  public init(copying bytes: Span<UInt8>) throws(TransportError) {
    // SAFETY: bytes have no padding.
    try self.init(copying: unsafe bytes.bytes)
  }
}

extension Socket {
  /// Sends a copy of `bytes` as one frame.
  public mutating func trySend(copying bytes: Span<UInt8>, more: Bool = false) throws(TransportError) -> SendOutcome {
    // SAFETY: bytes have no padding.
    try trySend(copying: unsafe bytes.bytes, more: more)
  }

  /// Sends a copy of `bytes` to one peer, or says why not; a refused message leaves nothing behind.
  public mutating func trySend(to peer: RoutingID, copying bytes: Span<UInt8>) throws(TransportError) -> SendOutcome {
    // SAFETY: bytes have no padding.
    try trySend(to: peer, copying: unsafe bytes.bytes)
  }
}
