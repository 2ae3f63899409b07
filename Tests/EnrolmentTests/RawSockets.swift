import Glibc
import Synchronization
import Testing

/// A plain TCP connection to this machine that says whatever a test wants.
struct RawConnection: ~Copyable {
  let descriptor: Int32

  init(port: Int) throws {
    descriptor = try connected(port)
  }

  func write(_ bytes: [UInt8]) {
    // SAFETY: the bytes live through the call; MSG_NOSIGNAL, because the other side may have hung up.
    _ = unsafe send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
  }

  deinit { close(descriptor) }
}

/// Passes TCP connections on, one after the other, and keeps every byte of both directions.
final class RecordingRelay: Sendable {
  let port: Int
  private let listener: Int32
  private let target: Int
  private let bytes = Mutex<[UInt8]>([])

  var captured: [UInt8] { bytes.withLock { $0 } }

  init(port target: Int) throws {
    self.target = target
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = loopback(0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    // SAFETY: an address of the size told, for the duration of the calls.
    unsafe withUnsafeMutablePointer(to: &address) {
      let general = unsafe UnsafeMutableRawPointer($0).assumingMemoryBound(to: sockaddr.self)
      _ = unsafe bind(listener, general, length)
      _ = listen(listener, 8)
      _ = unsafe getsockname(listener, general, &length)
    }
    self.listener = listener
    port = Int(UInt16(bigEndian: address.sin_port))
    var thread = pthread_t()
    // SAFETY: the retained reference is released by the thread.
    let code = unsafe pthread_create(
      &thread, nil,
      { argument in
        unsafe Unmanaged<RecordingRelay>.fromOpaque(argument!).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(self).toOpaque())
    try #require(code == 0)
    pthread_detach(thread)
  }

  /// Serves one connection, until either side hangs up or half a minute is over.
  private func run() {
    let client = accept(listener, nil, nil)
    defer {
      close(client)
      close(listener)
    }
    guard let server = try? connected(target) else { return }
    defer { close(server) }
    var ends = [
      pollfd(fd: client, events: Int16(POLLIN), revents: 0), pollfd(fd: server, events: Int16(POLLIN), revents: 0),
    ]
    var buffer = [UInt8](repeating: 0, count: 65_536)
    // SAFETY: the buffers are as long as told.
    while unsafe poll(&ends, 2, 30_000) > 0 {
      for side in 0..<2 where ends[side].revents != 0 {
        let count = unsafe read(ends[side].fd, &buffer, buffer.count)
        guard count > 0 else { return }
        bytes.withLock { $0 += buffer.prefix(count) }
        _ = unsafe send(ends[1 - side].fd, buffer, count, Int32(MSG_NOSIGNAL))
      }
    }
  }
}

private func connected(_ port: Int) throws -> Int32 {
  let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  var address = loopback(UInt16(port))
  // SAFETY: an address of the size told, read during the call.
  let result = unsafe withUnsafePointer(to: &address) {
    unsafe connect(
      descriptor, UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self),
      socklen_t(MemoryLayout<sockaddr_in>.size))
  }
  try #require(result == 0, "connect: errno \(errno)")
  return descriptor
}

private func loopback(_ port: UInt16) -> sockaddr_in {
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = port.bigEndian
  address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
  return address
}
