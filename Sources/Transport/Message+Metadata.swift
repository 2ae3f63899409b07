internal import CZeroMQ
internal import Glibc

// What libzmq knows about the connection that a frame came over. Read from payload frames only: in libzmq 4.3.4 the
// routing frame lacks it when the socket was polled first, and `receiveEnvelope` never hands that frame out.

extension Message {
  /// Who the authority said the sender is; `nil` without CURVE. The only identity to trust.
  ///
  /// Allocates for long names; hot paths use `withUserID`.
  public var userID: String? {
    property("User-Id") { $0.text }
  }

  /// Lends the bytes of `userID` without copying them; empty without CURVE.
  public borrowing func withUserID<Result>(_ body: (RawSpan) -> Result) -> Result {
    if let result = property("User-Id", body) { return result }
    return body(RawSpan())
  }

  /// The sender's IP address, without port; `nil` for messages from this process.
  public var peerAddress: String? {
    property("Peer-Address") { $0.text }
  }

  /// The descriptor of the connection that this frame came over; `nil` for messages from this process.
  ///
  /// May already be closed, or belong to something else by now: see `connection`.
  public var sourceDescriptor: Int32? {
    // SAFETY: only reads the struct.
    let descriptor = unsafe withUnsafePointer(to: raw) { unsafe zmq_msg_get($0, BONGSU_ZMQ_SRCFD) }
    return descriptor >= 0 ? descriptor : nil
  }

  private borrowing func property<Result>(_ name: String, _ body: (RawSpan) -> Result) -> Result? {
    // SAFETY: libzmq returns a C string that lives as long as the frame, or nil.
    unsafe withUnsafePointer(to: raw) { pointer in
      guard let text = unsafe zmq_msg_gets(pointer, name) else { return nil }
      return body(unsafe UnsafeRawBufferPointer(start: text, count: strlen(text)).bytes)
    }
  }
}

extension RawSpan {
  /// The bytes as text; what is not UTF-8 shows as replacement characters.
  var text: String {
    // SAFETY: only read during the call.
    unsafe withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
  }
}
