import Foundation
import Glibc
import Synchronization

/// Passes TCP connections of one agent on to the aggregator, or does nothing at all: then both ends hold connections on
/// which nothing comes and goes, as in a network that lost its middle. Works on a thread of its own until the end.
final class Relay: Sendable {
  private enum Mode: Int {
    case passing
    case blocked
    /// Drop all connections once, then pass.
    case dropping
  }

  /// Where the agent connects.
  let port: UInt16
  private let target: UInt16
  private let listener: Int32
  private let mode = Atomic<Int>(Mode.passing.rawValue)

  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  init(to target: UInt16) throws {
    self.target = target
    (listener, port) = try Self.listen()
    let thread = Thread { [self] in run() }
    thread.start()
  }

  func block() { mode.store(Mode.blocked.rawValue, ordering: .relaxed) }

  func pass(dropping: Bool) {
    mode.store((dropping ? Mode.dropping : Mode.passing).rawValue, ordering: .relaxed)
  }

  /// A port of the loopback that nobody listens on now.
  static func freePort() throws -> UInt16 {
    let (descriptor, port) = try listen()
    _ = Glibc.close(descriptor)
    return port
  }

  /// Whether somebody listens on `port`.
  static func isListening(_ port: UInt16) -> Bool {
    guard let descriptor = connect(to: port) else { return false }
    _ = Glibc.close(descriptor)
    return true
  }

  // MARK: The thread

  /// Bytes on their way from one end to the other.
  private struct Direction {
    var from: Int32
    var to: Int32
    var bytes: [UInt8] = []
  }

  private struct Pair {
    var up: Direction
    var down: Direction

    func close() {
      // An immediate end: what the kernel still holds goes, as when a machine on the way loses its state.
      for descriptor in [up.from, up.to] {
        var abrupt = linger(l_onoff: 1, l_linger: 0)
        // SAFETY: as many bytes are read as the structure has.
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &abrupt, socklen_t(MemoryLayout<linger>.size))
        _ = Glibc.close(descriptor)
      }
    }
  }

  private func run() {
    var pairs: [Pair] = []
    while true {
      switch Mode(rawValue: mode.load(ordering: .relaxed)) {
      case .blocked:
        usleep(20_000)
        continue
      case .dropping:
        for pair in pairs { pair.close() }
        pairs.removeAll()
        _ = mode.compareExchange(
          expected: Mode.dropping.rawValue, desired: Mode.passing.rawValue, ordering: .relaxed)
      default: break
      }
      turn(&pairs)
    }
  }

  private func turn(_ pairs: inout [Pair]) {
    var watched = [pollfd(fd: listener, events: Int16(POLLIN), revents: 0)]
    for pair in pairs {
      for direction in [pair.up, pair.down] {
        let waits = direction.bytes.isEmpty
        watched.append(
          pollfd(fd: waits ? direction.from : direction.to, events: Int16(waits ? POLLIN : POLLOUT), revents: 0))
      }
    }
    // SAFETY: as many entries are read and written as the array has.
    guard unsafe poll(&watched, nfds_t(watched.count), 20) > 0 else { return }
    for number in pairs.indices.reversed() {
      let isOpen =
        (watched[1 + 2 * number].revents == 0 || Self.move(&pairs[number].up))
        && (watched[2 + 2 * number].revents == 0 || Self.move(&pairs[number].down))
      if !isOpen { pairs.remove(at: number).close() }
    }
    if watched[0].revents != 0 { accept(&pairs) }
  }

  private func accept(_ pairs: inout [Pair]) {
    let client = Glibc.accept(listener, nil, nil)
    guard client >= 0 else { return }
    _ = fcntl(client, F_SETFL, O_NONBLOCK)
    _ = fcntl(client, F_SETFD, FD_CLOEXEC)
    guard let server = Self.connect(to: target) else {
      _ = Glibc.close(client)
      return
    }
    _ = fcntl(server, F_SETFL, O_NONBLOCK)
    pairs.append(Pair(up: Direction(from: client, to: server), down: Direction(from: server, to: client)))
  }

  /// Moves what can be moved; `false` when an end has hung up.
  private static func move(_ direction: inout Direction) -> Bool {
    if direction.bytes.isEmpty {
      direction.bytes = [UInt8](repeating: 0, count: 1 << 16)
      // SAFETY: at most as many bytes are written as the array has.
      let count = unsafe Glibc.read(direction.from, &direction.bytes, direction.bytes.count)
      direction.bytes.removeLast(direction.bytes.count - max(0, count))
      return count > 0 || (count < 0 && errno == EAGAIN)
    }
    // SAFETY: at most as many bytes are read as the array has.
    let count = unsafe Glibc.send(direction.to, direction.bytes, direction.bytes.count, Int32(MSG_NOSIGNAL))
    if count > 0 { direction.bytes.removeFirst(count) }
    return count > 0 || errno == EAGAIN
  }

  // MARK: Sockets

  private static func listen() throws -> (Int32, UInt16) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = loopback(port: 0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    // SAFETY: an address of the size told, for the duration of the calls.
    let isBound = unsafe withUnsafeMutablePointer(to: &address) {
      let general = unsafe UnsafeMutableRawPointer($0).assumingMemoryBound(to: sockaddr.self)
      return unsafe bind(descriptor, general, length) == 0 && Glibc.listen(descriptor, 64) == 0
        && getsockname(descriptor, general, &length) == 0
    }
    guard isBound else { throw Failure(description: "cannot listen on the loopback: error \(errno)") }
    return (descriptor, UInt16(bigEndian: address.sin_port))
  }

  private static func connect(to port: UInt16) -> Int32? {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = loopback(port: port)
    // SAFETY: an address of the size told.
    let result = unsafe withUnsafeMutablePointer(to: &address) {
      unsafe Glibc.connect(
        descriptor, UnsafeMutableRawPointer($0).assumingMemoryBound(to: sockaddr.self),
        socklen_t(MemoryLayout<sockaddr_in>.size))
    }
    if result == 0 { return descriptor }
    _ = Glibc.close(descriptor)
    return nil
  }

  private static func loopback(port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
  }
}
