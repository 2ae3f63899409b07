internal import CZeroMQ
internal import Synchronization

/// Something that happened to a connection of a watched socket.
public struct ConnectionEvent: Sendable, Hashable {
  public enum Kind: Sendable, Hashable {
    /// A listener stands behind this descriptor: see `Listener`.
    case listening(descriptor: Int32)
    /// A dealer's TCP connection stands; the handshake follows.
    case connected
    /// A listener took a connection with this descriptor; the handshake follows.
    case accepted(descriptor: Int32)
    /// A listener could not take a connection. `EMFILE`: no descriptor left, and the I/O thread spins until there is one.
    case acceptFailed(errno: Int32)
    /// The connection has ended. Follows every `connected` and `accepted`, also when the handshake failed.
    case disconnected(descriptor: Int32)
    /// Messages can flow.
    case handshakeSucceeded
    /// The other side broke off, or the handshake timed out.
    case handshakeFailed(errno: Int32)
    /// The other side does not speak ZMTP or has the wrong server key; libzmq's detail code.
    case handshakeProtocolError(code: Int32)
    /// The authority turned the client away with this ZAP status.
    case handshakeRefused(status: Int32)
    /// Retries and such; libzmq's event number.
    case other(event: UInt16, value: Int32)
  }

  public let kind: Kind
  /// The local or remote endpoint, as libzmq names it.
  public let endpoint: String

  public init(kind: Kind, endpoint: String) {
    self.kind = kind
    self.endpoint = endpoint
  }
}

/// Reports the connections of one socket.
///
/// libzmq sends events without a timeout: a monitor whose queue is full stops the I/O thread, and with it every peer.
/// So this one's queue has no bound: forgetting to drain it costs memory (some 200 bytes an event) and stops nobody.
///
/// Thread rule: as `Socket`; the watched socket may belong to another thread once the monitor exists.
public struct ConnectionMonitor: ~Copyable {
  /// Readable when there are events: to be added to a poller.
  public let socket: Socket
  private let watched: SocketHandle

  private static let count = Atomic<Int>(0)

  public init(of watched: borrowing Socket, in context: Context) throws(TransportError) {
    // Relaxed: only uniqueness matters.
    let number = Self.count.add(1, ordering: .relaxed).newValue
    let endpoint = "inproc://bongsu-monitor-\(number)"
    self.watched = watched.handle
    // SAFETY: the string lives through the call.
    guard unsafe zmq_socket_monitor(watched.handle.touch(), endpoint, ZMQ_EVENT_ALL) == 0 else {
      throw .last("watch", "a \(watched.kind) socket")
    }
    let handle = try SocketHandle(context: context, kind: .pair)
    try handle.set(ZMQ_RCVHWM, "RCVHWM", Int32(0))
    try handle.set(ZMQ_LINGER, "LINGER", Int32(0))
    guard unsafe zmq_connect(handle.pointer, endpoint) == 0 else { throw .last("connect to", endpoint) }
    socket = Socket(handle: handle, kind: .pair)
  }

  deinit {
    // Stops the events, unless the socket has closed and with it its monitor.
    if unsafe watched.pointer != nil { _ = unsafe zmq_socket_monitor(watched.touch(), nil, 0) }
  }

  /// The next event; `nil` when there is none now. Call until `nil`.
  public mutating func nextEvent() throws(TransportError) -> ConnectionEvent? {
    var head = Message()
    guard try head.fill(from: socket.handle) else { return nil }
    var endpoint = Message()
    guard head.hasMore, try endpoint.fill(from: socket.handle) else { return nil }
    // Two bytes of event and four of value, in host order (zmq_socket_monitor(3)).
    let (event, value) = head.withBytes { bytes -> (UInt16, Int32) in
      guard bytes.byteCount == 6 else { return (0, 0) }
      // SAFETY: six bytes are there, and every bit pattern is valid.
      return unsafe (
        bytes.unsafeLoadUnaligned(fromByteOffset: 0, as: UInt16.self),
        bytes.unsafeLoadUnaligned(fromByteOffset: 2, as: Int32.self)
      )
    }
    let name = endpoint.withBytes { $0.text }
    return ConnectionEvent(kind: .init(event: event, value: value), endpoint: name)
  }
}

extension ConnectionEvent.Kind {
  init(event: UInt16, value: Int32) {
    self =
      switch Int32(event) {
      case ZMQ_EVENT_LISTENING: .listening(descriptor: value)
      case ZMQ_EVENT_CONNECTED: .connected
      case ZMQ_EVENT_ACCEPTED: .accepted(descriptor: value)
      case ZMQ_EVENT_ACCEPT_FAILED: .acceptFailed(errno: value)
      case ZMQ_EVENT_DISCONNECTED: .disconnected(descriptor: value)
      case ZMQ_EVENT_HANDSHAKE_SUCCEEDED: .handshakeSucceeded
      case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL: .handshakeFailed(errno: value)
      case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL: .handshakeProtocolError(code: value)
      case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: .handshakeRefused(status: value)
      default: .other(event: event, value: value)
      }
  }
}
