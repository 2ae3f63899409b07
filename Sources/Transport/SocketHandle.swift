internal import CZeroMQ

/// The libzmq socket behind a `Socket`, shared only with the `Poller` of the same thread.
///
/// Not Sendable: libzmq sockets belong to one thread (using one from two aborts the process in the router).
@safe
final class SocketHandle {
  /// `nil` once closed.
  private(set) var pointer: UnsafeMutableRawPointer?
  /// Keeps the context alive; `nil` only for the context's own admission service, which it joins before it ends.
  private let context: Context?
  let name: String
  /// The poller that watches this socket, and this socket's place in it.
  var watch: (poller: PollerState, entry: Int)?

  init(context: Context, kind: SocketKind, keepsContext: Bool = true) throws(TransportError) {
    // SAFETY: the context is alive here, and until this handle has closed.
    guard let made = unsafe zmq_socket(context.pointer, kind.code) else {
      throw .last("open", "a \(kind) socket")
    }
    unsafe pointer = made
    self.context = keepsContext ? context : nil
    name = "\(kind)"
  }

  deinit {
    close()
  }

  func close() {
    guard let open = unsafe pointer else { return }
    if let watch { watch.poller.remove(watch.entry) }
    // SAFETY: `pointer` was open and is forgotten here, so it is closed once.
    _ = unsafe zmq_close(open)
    unsafe pointer = nil
  }

  /// Every call that may run libzmq's command queue goes through here, so that the poller looks at the socket again:
  /// such a call can swallow the wake-up of the descriptor that the poller sleeps on.
  @inline(__always)
  func touch() -> UnsafeMutableRawPointer? {
    if let watch { watch.poller.recheck(watch.entry) }
    return unsafe pointer
  }

  func set(_ option: Int32, _ setting: String, _ value: Int32) throws(TransportError) {
    var value = value
    // SAFETY: libzmq copies four bytes during the call.
    guard unsafe zmq_setsockopt(touch(), option, &value, 4) == 0 else { throw .last("set", setting) }
  }

  func set(_ option: Int32, _ setting: String, _ value: Int64) throws(TransportError) {
    var value = value
    // SAFETY: libzmq copies eight bytes during the call.
    guard unsafe zmq_setsockopt(touch(), option, &value, 8) == 0 else { throw .last("set", setting) }
  }

  func set(_ option: Int32, _ setting: String, _ value: Int, _ allowed: ClosedRange<Int>) throws(TransportError) {
    guard allowed.contains(value) else { throw .outOfRange(setting: setting, value: value, allowed: allowed) }
    try set(option, setting, Int32(value))
  }

  func set(_ option: Int32, _ setting: String, _ value: Duration) throws(TransportError) {
    let bound = TransportLimits.timeoutMax
    guard value >= .zero && value <= bound else {
      throw .outOfRange(
        setting: "\(setting) in seconds", value: Int(clamping: value.components.seconds),
        allowed: 0...Int(bound.components.seconds))
    }
    try set(option, setting, Int32(value.millisecondsRoundedUp))
  }

  func set(_ option: Int32, _ setting: String, _ bytes: [UInt8]) throws(TransportError) {
    // SAFETY: libzmq copies `count` bytes during the call.
    let result = unsafe bytes.withUnsafeBytes { unsafe zmq_setsockopt(touch(), option, $0.baseAddress, $0.count) }
    guard result == 0 else { throw .last("set", setting) }
  }

  func get(_ option: Int32, _ setting: String) throws(TransportError) -> Int32 {
    var value: Int32 = 0
    var size = 4
    // SAFETY: both point to locals of the size libzmq is told.
    guard unsafe zmq_getsockopt(pointer, option, &value, &size) == 0 else { throw .last("read", setting) }
    return value
  }

  func getText(_ option: Int32, _ setting: String) throws(TransportError) -> String {
    var bytes = [UInt8](repeating: 0, count: 256)
    var size = bytes.count
    // SAFETY: libzmq writes at most `size` bytes and sets it to what it wrote, the NUL included.
    let result = unsafe bytes.withUnsafeMutableBytes { unsafe zmq_getsockopt(pointer, option, $0.baseAddress, &size) }
    guard result == 0 else { throw .last("read", setting) }
    return String(decoding: bytes.prefix(max(0, size - 1)), as: UTF8.self)
  }
}
