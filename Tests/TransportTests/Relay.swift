import Glibc
import Synchronization
import Testing

/// Passes one TCP connection on to `target` and remembers every byte, both ways. Runs on a thread until it is dropped.
final class Relay: Sendable {
  let endpoint: String
  private let listener: Int32
  private let target: UInt16
  private let bytes = Mutex<[UInt8]>([])

  var captured: [UInt8] { bytes.withLock { $0 } }

  init(to target: String) throws {
    self.target = try #require(target.split(separator: ":").last.flatMap { UInt16($0) })
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = loopback(port: 0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    // SAFETY: an address of the size told, for the duration of the calls.
    unsafe withUnsafeMutablePointer(to: &address) {
      let general = unsafe UnsafeMutableRawPointer($0).assumingMemoryBound(to: sockaddr.self)
      _ = unsafe bind(listener, general, length)
      _ = listen(listener, 1)
      _ = unsafe getsockname(listener, general, &length)
    }
    self.listener = listener
    endpoint = "tcp://127.0.0.1:\(UInt16(bigEndian: address.sin_port))"
    var thread = pthread_t()
    // SAFETY: the retained reference is released by the thread.
    let code = unsafe pthread_create(
      &thread, nil,
      { argument in
        unsafe Unmanaged<Relay>.fromOpaque(argument!).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(self).toOpaque())
    try #require(code == 0)
    pthread_detach(thread)
  }

  /// Ends when either side hangs up.
  private func run() {
    let client = accept(listener, nil, nil)
    let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = loopback(port: target)
    // SAFETY: an address of the size told.
    _ = unsafe withUnsafePointer(to: &address) {
      unsafe connect(
        server, UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self),
        socklen_t(MemoryLayout<sockaddr_in>.size))
    }
    var ends = [
      pollfd(fd: client, events: Int16(POLLIN), revents: 0), pollfd(fd: server, events: Int16(POLLIN), revents: 0),
    ]
    var buffer = [UInt8](repeating: 0, count: 65_536)
    // SAFETY: the buffers are as long as told.
    pump: while unsafe poll(&ends, 2, 20_000) > 0 {
      for side in 0..<2 where ends[side].revents != 0 {
        let count = unsafe read(ends[side].fd, &buffer, buffer.count)
        guard count > 0 else { break pump }
        bytes.withLock { $0 += buffer.prefix(count) }
        _ = unsafe send(ends[1 - side].fd, buffer, count, Int32(MSG_NOSIGNAL))
      }
    }
    for descriptor in [client, server, listener] { close(descriptor) }
  }
}

func loopback(port: UInt16) -> sockaddr_in {
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = port.bigEndian
  address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
  return address
}
