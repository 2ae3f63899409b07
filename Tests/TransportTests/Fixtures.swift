import BongsuTransport
import Glibc
import Synchronization
import Testing

/// Long enough for a loaded machine; a test that passes never waits for it.
let patience = Duration.seconds(10)

/// Settings that keep tests short.
func quickOptions() -> SocketOptions {
  var options = SocketOptions()
  options.reconnectInterval = .milliseconds(50)
  options.handshakeTimeout = .seconds(5)
  return options
}

/// A router's message with everything copied out of it.
struct Received: Equatable {
  var sender: RoutingID?
  var bytes: [UInt8] = []
  var userID: String?
  var peerAddress: String?
  var connection: ConnectionID?
  var fault: EnvelopeFault?

  var text: String { String(decoding: bytes, as: UTF8.self) }

  init(from sender: RoutingID?, _ message: borrowing Message, fault: EnvelopeFault? = nil) {
    self.sender = sender
    self.fault = fault
    bytes = message.copiedBytes
    userID = message.userID
    peerAddress = message.peerAddress
    connection = message.connection
  }
}

extension Message {
  var copiedBytes: [UInt8] {
    withBytes { span in (0..<span.byteCount).map { unsafe span.unsafeLoad(fromByteOffset: $0, as: UInt8.self) } }
  }
}

/// The next message of a router; `nil` when none came in time.
func nextMessage(_ router: inout Socket, within limit: Duration = patience) throws -> Received? {
  var poller = try Poller()
  try poller.add(router, token: 0)
  defer { poller.remove(router) }
  let deadline = ContinuousClock.now + limit
  while true {
    switch try router.receiveEnvelope() {
    case .message(let sender, let message): return Received(from: sender, message)
    case .refused(let fault, let message): return Received(from: nil, message, fault: fault)
    case .nothing: break
    }
    let left = ContinuousClock.now.duration(to: deadline)
    if left <= .zero { return nil }
    _ = try poller.wait(timeout: left)
  }
}

/// The next frame of any socket, as bytes; `nil` when none came in time.
func nextFrame(_ socket: inout Socket, within limit: Duration = patience) throws -> [UInt8]? {
  var poller = try Poller()
  try poller.add(socket, token: 0)
  defer { poller.remove(socket) }
  let deadline = ContinuousClock.now + limit
  while true {
    if let message = try socket.tryReceive() { return message.copiedBytes }
    let left = ContinuousClock.now.duration(to: deadline)
    if left <= .zero { return nil }
    _ = try poller.wait(timeout: left)
  }
}

/// Sends as soon as there is a connection with room; `false` when there was none in time.
func send(_ bytes: [UInt8], on socket: inout Socket, within limit: Duration = patience) throws -> Bool {
  var poller = try Poller()
  try poller.add(socket, for: .writable, token: 0)
  defer { poller.remove(socket) }
  let deadline = ContinuousClock.now + limit
  while try socket.trySend(copying: bytes.span) != .sent {
    let left = ContinuousClock.now.duration(to: deadline)
    if left <= .zero { return false }
    _ = try poller.wait(timeout: left)
  }
  return true
}

func send(_ text: String, on socket: inout Socket, within limit: Duration = patience) throws -> Bool {
  try send(Array(text.utf8), on: &socket, within: limit)
}

/// Events of a monitor until `last` matches one; what came is returned either way.
func events(
  of monitor: inout ConnectionMonitor, until last: (ConnectionEvent.Kind) -> Bool, within limit: Duration = patience
) throws -> [ConnectionEvent.Kind] {
  var poller = try Poller()
  try poller.add(monitor.socket, token: 0)
  let deadline = ContinuousClock.now + limit
  var seen: [ConnectionEvent.Kind] = []
  while true {
    while let event = try monitor.nextEvent() {
      seen.append(event.kind)
      if last(event.kind) { return seen }
    }
    let left = ContinuousClock.now.duration(to: deadline)
    if left <= .zero { return seen }
    _ = try poller.wait(timeout: left)
  }
}

/// An authority whose list can change while it is asked.
final class KeyList: KeyAuthority {
  private let members = Mutex<[PublicKey: String]>([:])
  private let asked = Mutex<[AdmissionRequest]>([])

  func set(_ key: PublicKey, to userID: String?) {
    members.withLock { $0[key] = userID }
  }

  var requests: [AdmissionRequest] { asked.withLock { $0 } }

  func decide(_ request: AdmissionRequest) -> Admission {
    asked.withLock { $0.append(request) }
    return members.withLock { $0[request.key] }.map(Admission.admit) ?? .refuse
  }
}

/// A plain TCP client that speaks whatever a test wants it to.
struct RawPeer: ~Copyable {
  let descriptor: Int32

  /// Connects to `tcp://127.0.0.1:PORT`.
  init(to endpoint: String) throws {
    descriptor = try connected(to: endpoint)
  }

  func write(_ bytes: [UInt8]) {
    // SAFETY: the bytes live through the call; MSG_NOSIGNAL, because the other side may have hung up.
    _ = unsafe Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
  }

  /// Whether the other side hangs up in time.
  func seesEnd(within seconds: Int) -> Bool {
    var limit = timeval(tv_sec: seconds, tv_usec: 0)
    // SAFETY: both calls get locals of the size told.
    _ = unsafe setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var buffer = [UInt8](repeating: 0, count: 1024)
    while true {
      let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
      if count == 0 || (count < 0 && errno != EAGAIN) { return true }
      if count < 0 { return false }
    }
  }

  deinit {
    close(descriptor)
  }
}

private func connected(to endpoint: String) throws -> Int32 {
  let port = try #require(endpoint.split(separator: ":").last.flatMap { UInt16($0) })
  let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  var address = loopback(port: port)
  // SAFETY: an address of the size told, read during the call.
  let result = unsafe withUnsafePointer(to: &address) {
    unsafe connect(
      descriptor, UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self),
      socklen_t(MemoryLayout<sockaddr_in>.size))
  }
  try #require(result == 0, "connect: errno \(errno)")
  return descriptor
}
