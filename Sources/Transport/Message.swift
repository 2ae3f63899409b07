internal import CZeroMQ

/// One frame with its bytes, as libzmq holds it. Has one owner; its memory is released when it is dropped.
///
/// Thread rule: may move between threads (libzmq counts references atomically), used by one at a time. Small frames lie
/// inside the value, larger ones in memory shared with other frames of the same read: keep a message only as long as
/// its bytes are needed.
@safe
public struct Message: ~Copyable, @unchecked Sendable {
  // `@unchecked Sendable`: not copyable, so one thread holds it; zmq_msg_t is made to be moved (zmq_msg_move copies the
  // struct), and what it points to is counted atomically.
  var raw: zmq_msg_t

  /// An empty frame.
  public init() {
    raw = zmq_msg_t()
    // SAFETY: zmq_msg_init sets every byte that libzmq reads, and cannot fail.
    _ = unsafe zmq_msg_init(&raw)
  }

  /// A frame with a copy of `bytes`.
  public init(copying bytes: RawSpan) throws(TransportError) {
    self.init()
    var filled = zmq_msg_t()
    // SAFETY: on success `filled` holds `byteCount` writable bytes; the empty message it replaces owns nothing.
    guard unsafe zmq_msg_init_size(&filled, bytes.byteCount) == 0 else {
      throw .last("hold", "a message of \(bytes.byteCount) bytes")
    }
    unsafe bytes.withUnsafeBytes { source in
      guard let start = source.baseAddress else { return }
      unsafe zmq_msg_data(&filled)!.copyMemory(from: start, byteCount: source.count)
    }
    raw = filled
  }

  deinit {
    var last = raw
    // SAFETY: `raw` is initialized, and nobody can use it any more.
    _ = unsafe zmq_msg_close(&last)
  }

  /// The number of bytes.
  public var byteCount: Int {
    // SAFETY: only reads the struct.
    unsafe withUnsafePointer(to: raw) { unsafe zmq_msg_size($0) }
  }

  /// Whether another frame of the same message follows.
  public var hasMore: Bool {
    // SAFETY: only reads the struct.
    unsafe withUnsafePointer(to: raw) { unsafe zmq_msg_more($0) } != 0
  }

  /// Lends the bytes, without copying them.
  public borrowing func withBytes<Result: ~Copyable, Failure: Error>(
    _ body: (RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    // SAFETY: the bytes of a small frame lie in the struct, whose address holds for the closure; those of a larger one
    // stay until the message is closed. libzmq takes a mutable pointer but changes nothing.
    try unsafe withUnsafePointer(to: raw) { pointer throws(Failure) in
      let start = unsafe zmq_msg_data(UnsafeMutablePointer(mutating: pointer))
      return try body(unsafe UnsafeRawBufferPointer(start: start, count: zmq_msg_size(pointer)).bytes)
    }
  }

  /// Moves the content out, leaving an empty frame.
  mutating func take() -> Message {
    let taken = Message(moving: raw)
    raw = Message.emptyRaw()
    return taken
  }

  /// Becomes the owner of `raw`.
  init(moving raw: zmq_msg_t) {
    self.raw = raw
  }

  static func emptyRaw() -> zmq_msg_t {
    var empty = zmq_msg_t()
    // SAFETY: as in `init`.
    _ = unsafe zmq_msg_init(&empty)
    return empty
  }
}
