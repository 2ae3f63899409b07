private import Glibc
private import Synchronization

private let given = Mutex<Set<UInt16>>([])

/// A port of the loopback that nobody listens on, and that this process was not given before: tests run side by side, and
/// each starts its servers some time after it has chosen their ports.
public func freePort() -> UInt16 {
  while true {
    // Below those that the kernel gives to outgoing connections, of which many come and go beside.
    let port = UInt16.random(in: 12_000..<32_000)
    guard given.withLock({ $0.insert(port).inserted }), isFree(port) else { continue }
    return port
  }
}

private func isFree(_ port: UInt16) -> Bool {
  let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  defer { close(descriptor) }
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = port.bigEndian
  // SAFETY: an address of the size told, for the duration of the call.
  return unsafe withUnsafeMutablePointer(to: &address) {
    let general = unsafe UnsafeMutableRawPointer($0).assumingMemoryBound(to: sockaddr.self)
    return unsafe bind(descriptor, general, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
  }
}
