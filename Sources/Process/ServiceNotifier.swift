internal import Glibc

/// Tells the service manager how this process is, by datagrams to the socket that `NOTIFY_SOCKET` names (sd_notify(3)).
///
/// Without such a socket every call does nothing, so that callers need not ask. A manager that does not read loses the
/// message; nobody waits for it.
///
/// Thread rule: any thread; each call is one system call.
public struct ServiceNotifier: Sendable {
  /// How often ``alive()`` has to be called at least, seconds; `nil` when nobody watches. Half of what the manager
  /// allows, as its manual asks for.
  public let aliveSecondsMax: Double?

  private let path: [UInt8]

  /// Takes the socket that the environment names.
  public init(variables: [String: String] = Settings.environment()) {
    let text = variables["NOTIFY_SOCKET"] ?? ""
    // A path of the file system, or with `@` an abstract name; both have to fit into an address.
    let isUsable = (text.hasPrefix("/") || text.hasPrefix("@")) && text.utf8.count <= Self.pathBytesMax
    path = isUsable ? Array(text.utf8) : []
    let isForUs = variables["WATCHDOG_PID"].map { Int32($0) == getpid() } ?? true
    let microseconds = variables["WATCHDOG_USEC"].flatMap { Int64($0) } ?? 0
    aliveSecondsMax = isUsable && isForUs && microseconds > 0 ? Double(microseconds) / 2_000_000 : nil
  }

  private static let pathBytesMax = 107

  /// Whether there is somebody to tell.
  public var isHeard: Bool { !path.isEmpty }

  /// Says that the service works.
  public func ready(_ status: String) { send("READY=1\nSTATUS=\(status)\n") }

  /// Says in one line what the service is doing; shown by `systemctl status`.
  public func status(_ text: String) { send("STATUS=\(text)\n") }

  /// Says that the settings are read again; ``ready(_:)`` ends it.
  public func reloading() {
    var time = timespec()
    // SAFETY: the call writes one timespec.
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    send("RELOADING=1\nMONOTONIC_USEC=\(Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)\n")
  }

  /// Says that the service ends in order.
  public func stopping(_ status: String) { send("STOPPING=1\nSTATUS=\(status)\n") }

  /// Says that the service is not stuck.
  public func alive() { send("WATCHDOG=1\n") }

  private func send(_ message: String) {
    guard isHeard else { return }
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return }
    defer { _ = close(descriptor) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { place in
      for (index, byte) in path.enumerated() { unsafe place[index] = byte }
      if path.first == 0x40 { unsafe place[0] = 0 }
    }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + path.count + (path.first == 0x40 ? 0 : 1))
    let bytes = Array(message.utf8)
    // SAFETY: address and bytes are local and as long as the lengths say.
    unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { general in
        _ = unsafe bytes.withUnsafeBytes {
          unsafe sendto(
            descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT), general,
            length)
        }
      }
    }
  }
}
